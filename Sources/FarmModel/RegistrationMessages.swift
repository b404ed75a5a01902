/// The model that a worker holds in memory.
package struct RendererModel: Codable, Hashable, Sendable {
    /// The name under which the farm records the model if it does not know its digest.
    package var name: String
    /// The digest of everything that makes the model: base weights, adapters, turbo or not.
    package var digest: String
    /// The precision of the arithmetic, as `float32`.
    package var precision: String
    package var defaults: ModelDefaults
    /// Pictures are equal to the last bit inside one class: precision, kernels, engine build, group
    /// size, cache setting, as `float32/avx2/1`; empty where the worker does not say.
    package var numericClass: String
    /// What predicts the work of a picture; nil where the worker does not say.
    package var costs: CostConstants?

    package init(
        name: String,
        digest: String,
        precision: String,
        defaults: ModelDefaults,
        numericClass: String = "",
        costs: CostConstants? = nil
    ) {
        self.name = name
        self.digest = digest
        self.precision = precision
        self.defaults = defaults
        self.numericClass = numericClass
        self.costs = costs
    }
}

/// The machine that a worker runs on, for people who look for a sick one.
package struct MachineInfo: Codable, Hashable, Sendable {
    package var host: String
    /// The operating system and its version.
    package var system: String
    /// The processor's name and what the kernels use of it.
    package var processor: String
    /// Threads that compute.
    package var threads: Int
    /// The accelerator's name; nil for none.
    package var device: String?
    /// Where the worker's metrics are, a host and a port; nil where it does not listen.
    package var metrics: String?

    package init(
        host: String,
        system: String,
        processor: String,
        threads: Int,
        device: String? = nil
    ) {
        self.host = host
        self.system = system
        self.processor = processor
        self.threads = threads
        self.device = device
    }
}

/// What a worker says of itself when it begins.
package struct RegistrationRequest: Codable, Hashable, Sendable {
    /// The version of the worker protocol that this release speaks.
    package static let currentProtocol = 2

    package var protocolVersion: Int
    package var name: String
    /// Random, and kept by the worker's data folder; nil for a process that takes nobody's place.
    ///
    /// A process that comes with the instance of a known worker takes its place.
    package var instance: String?
    package var pool: String
    package var tags: [String] = []
    package var model: RendererModel
    /// Memory that rendering may use, in bytes; 0 where the worker does not say.
    package var memoryBytes: Int64 = 0
    /// Measured floating point operations a second; nil before anything was measured.
    package var speed: Double?
    /// The program and its version.
    package var engine = ""
    package var machine: MachineInfo?
    /// Computed conditions that the worker has at hand, the latest first.
    package var warmArtifacts: [ArtifactKey] = []
    /// How it takes part in groups; nil for a worker that does not.
    package var group: GroupOffer?
    /// What the model takes in its precision; nil where the worker does not say.
    package var modelMemory: ModelMemory?
    /// Whether it renders without others: false where it holds no whole model.
    package var rendersAlone = true
    /// The hash of the key that the worker will show, where it joins by a token for that.
    package var credential: BlobDigest?
    /// Whether it parks what it renders when the coordinator says so.
    package var parks = false

    package init(
        name: String,
        instance: String? = nil,
        pool: String = "default",
        model: RendererModel
    ) {
        protocolVersion = Self.currentProtocol
        self.name = name
        self.instance = instance
        self.pool = pool
        self.model = model
    }

    /// Reads a registration; a worker of an earlier release renders alone and parks nothing.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        protocolVersion = try container.decode(Int.self, forKey: .protocolVersion)
        name = try container.decode(String.self, forKey: .name)
        instance = try container.decodeIfPresent(String.self, forKey: .instance)
        pool = try container.decode(String.self, forKey: .pool)
        tags = try container.decode([String].self, forKey: .tags)
        model = try container.decode(RendererModel.self, forKey: .model)
        memoryBytes = try container.decode(Int64.self, forKey: .memoryBytes)
        speed = try container.decodeIfPresent(Double.self, forKey: .speed)
        engine = try container.decode(String.self, forKey: .engine)
        machine = try container.decodeIfPresent(MachineInfo.self, forKey: .machine)
        warmArtifacts = try container.decode([ArtifactKey].self, forKey: .warmArtifacts)
        group = try container.decodeIfPresent(GroupOffer.self, forKey: .group)
        modelMemory = try container.decodeIfPresent(ModelMemory.self, forKey: .modelMemory)
        rendersAlone = try container.decodeIfPresent(Bool.self, forKey: .rendersAlone) ?? true
        credential = try container.decodeIfPresent(BlobDigest.self, forKey: .credential)
        parks = try container.decodeIfPresent(Bool.self, forKey: .parks) ?? false
    }
}

/// Who the worker is from now on.
package struct RegistrationAnswer: Codable, Hashable, Sendable {
    package var id: WorkerID
    package var epoch: Int64
    /// The worker's name as the farm knows it: another one where a live process has the name.
    package var name: String
    /// The model's name as the farm knows it.
    package var model: String
    /// How long a lease lasts without a heartbeat, in seconds.
    package var leaseSeconds: Double
    /// How long to wait between heartbeats, in seconds.
    package var heartbeatSeconds: Double
    /// What the coordinator can do beyond version 2; see ``CoordinatorCapability``.
    package var capabilities: [String]
    package var desiredState: DesiredWorkerState
    /// How long the key is good that the worker joined with; nil where it did not join.
    package var credential: CredentialTerms?

    package init(
        id: WorkerID,
        epoch: Int64,
        name: String,
        model: String,
        leaseSeconds: Double,
        heartbeatSeconds: Double,
        capabilities: [CoordinatorCapability] = CoordinatorCapability.allCases,
        desiredState: DesiredWorkerState = .run,
        credential: CredentialTerms? = nil
    ) {
        self.id = id
        self.epoch = epoch
        self.name = name
        self.model = model
        self.leaseSeconds = leaseSeconds
        self.heartbeatSeconds = heartbeatSeconds
        self.capabilities = capabilities.map(\.rawValue)
        self.desiredState = desiredState
        self.credential = credential
    }

    /// Whether the coordinator can do `capability`.
    package func has(_ capability: CoordinatorCapability) -> Bool {
        capabilities.contains(capability.rawValue)
    }
}

/// What a coordinator can do, by a stable name that a worker asks for before it relies on it.
package enum CoordinatorCapability: String, CaseIterable, Sendable {
    /// The delivery of the last image ends the attempt in the same call.
    case finalDelivery = "final_delivery"
    /// Checkpoints are stored and offered with tasks.
    case checkpoints
    /// Computed conditions are stored for other workers.
    case artifacts
    /// A delivery may say its bytes' digest, and is refused where it is another.
    case deliveryDigest = "delivery_digest"
}

/// What an operator, or the farm itself, wants of a worker.
package enum DesiredWorkerState: String, Codable, CaseIterable, Sendable {
    /// To claim and render.
    case run
    /// To finish what it holds, take nothing new, and end its process.
    case drain
    /// To finish what it holds and take nothing until it is woken.
    case sleep
    /// To stop what it holds and take nothing until a person has looked at it.
    case quarantine
}
