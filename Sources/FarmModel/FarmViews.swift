package import FoundationEssentials

/// A worker as the API gives it.
package struct WorkerView: Codable, Hashable, Sendable {
    package var id: WorkerID
    package var name: String
    package var state: WorkerState
    package var desiredState: DesiredWorkerState
    /// Why it is in this state, where someone or something put it there.
    package var stateReason: String?
    package var pool: String
    package var tags: [String]
    package var model: String
    package var modelDigest: String
    package var precision: String
    package var numericClass: String
    package var memoryBytes: Int64
    package var freeMemoryBytes: Int64?
    /// Floating point operations a second, as measured.
    package var speed: Double?
    package var engine: String
    package var machine: MachineInfo?
    package var registeredAt: Date
    package var lastSeenAt: Date
    package var leasedTasks: Int
    /// What its last heartbeat said of its attempts.
    package var running: [StepView]?
    /// Failures since the last success.
    package var failuresInARow: Int
    /// The name of the group that it is a member of.
    package var group: String?
    /// Its rank there; 0 claims for the group.
    package var rank: Int?

    package init(
        id: WorkerID,
        name: String,
        state: WorkerState,
        desiredState: DesiredWorkerState = .run,
        pool: String,
        tags: [String] = [],
        model: String,
        modelDigest: String,
        precision: String,
        numericClass: String = "",
        memoryBytes: Int64 = 0,
        engine: String = "",
        registeredAt: Date,
        lastSeenAt: Date,
        leasedTasks: Int,
        failuresInARow: Int = 0
    ) {
        self.id = id
        self.name = name
        self.state = state
        self.desiredState = desiredState
        self.pool = pool
        self.tags = tags
        self.model = model
        self.modelDigest = modelDigest
        self.precision = precision
        self.numericClass = numericClass
        self.memoryBytes = memoryBytes
        self.engine = engine
        self.registeredAt = registeredAt
        self.lastSeenAt = lastSeenAt
        self.leasedTasks = leasedTasks
        self.failuresInARow = failuresInARow
    }
}

/// What an operator asks of a worker, with the words that its log and the list of workers show.
package struct WorkerStateRequest: Codable, Hashable, Sendable {
    package var reason: String?

    package init(reason: String? = nil) {
        self.reason = reason
    }
}

/// A pool as the API gives it.
package struct PoolView: Codable, Hashable, Sendable {
    package var name: String
    package var isPaused: Bool
    /// Live workers by state.
    package var idle: Int
    package var busy: Int
    package var other: Int

    package init(name: String, isPaused: Bool, idle: Int, busy: Int, other: Int) {
        self.name = name
        self.isPaused = isPaused
        self.idle = idle
        self.busy = busy
        self.other = other
    }
}

/// The farm as a whole.
package struct FarmView: Codable, Hashable, Sendable {
    package var version: String
    package var isPaused: Bool
    package var pools: [PoolView]
    /// The tables whose rows come and go with every claim, by name.
    package var tables: [TableView]

    package init(
        version: String = FarmSettings.version,
        isPaused: Bool,
        pools: [PoolView],
        tables: [TableView] = []
    ) {
        self.version = version
        self.isPaused = isPaused
        self.pools = pools
        self.tables = tables
    }
}

/// How many rows a table of the database has, as the server last counted them.
package struct TableView: Codable, Hashable, Sendable {
    package var name: String
    package var live: Int
    /// Rows that are no more and await a vacuum.
    package var dead: Int

    package init(name: String, live: Int, dead: Int) {
        self.name = name
        self.live = live
        self.dead = dead
    }
}

/// A file of a registered model.
package struct ModelFileView: Codable, Hashable, Sendable {
    /// The path inside the model's directory.
    package var path: String
    package var digest: BlobDigest
    package var size: Int64

    package init(path: String, digest: BlobDigest, size: Int64) {
        self.path = path
        self.digest = digest
        self.size = size
    }
}

/// A model that the farm knows.
package struct ModelView: Codable, Hashable, Sendable {
    package var name: String
    package var digest: String
    /// Whether a job that names no model gets this one.
    package var isDefault: Bool
    package var defaults: ModelDefaults?
    package var costs: CostConstants?
    package var recordedAt: Date?
    /// Live workers that hold it.
    package var workers: Int?
    /// The files that a worker can fetch; only where one model is asked for.
    package var files: [ModelFileView]?

    package init(name: String, digest: String, isDefault: Bool) {
        self.name = name
        self.digest = digest
        self.isDefault = isDefault
    }
}

/// A model to record, with files that are in the blob store: the body of `PUT /v1/models/{name}`.
package struct ModelRequest: Codable, Hashable, Sendable {
    package var digest: String
    package var defaults: ModelDefaults
    package var costs: CostConstants?
    package var files: [ModelFileView]

    package init(
        digest: String,
        defaults: ModelDefaults,
        costs: CostConstants? = nil,
        files: [ModelFileView] = []
    ) {
        self.digest = digest
        self.defaults = defaults
        self.costs = costs
        self.files = files
    }
}

/// A list of digests: what may be missing, and in the answer what is.
package struct BlobList: Codable, Hashable, Sendable {
    package var digests: [BlobDigest]

    package init(digests: [BlobDigest]) {
        self.digests = digests
    }
}

/// What a sweep of blobs found that nothing names any more.
package struct BlobSweepView: Codable, Hashable, Sendable {
    package var isDryRun: Bool
    /// Blobs that were removed, or would be.
    package var removed: Int
    package var removedBytes: Int64
    /// Blobs that something names, or that are too young to be judged.
    package var kept: Int
    package var keptBytes: Int64
    /// The first of those removed.
    package var sample: [BlobDigest]

    package init(
        isDryRun: Bool,
        removed: Int,
        removedBytes: Int64,
        kept: Int,
        keptBytes: Int64,
        sample: [BlobDigest] = []
    ) {
        self.isDryRun = isDryRun
        self.removed = removed
        self.removedBytes = removedBytes
        self.kept = kept
        self.keptBytes = keptBytes
        self.sample = sample
    }
}

/// One entry of the audit: who changed what.
package struct AuditView: Codable, Hashable, Sendable {
    package var number: Int64
    package var at: Date
    package var actor: String
    package var action: String
    package var target: String
    package var detail: SpecificationValue
    /// The address that it was asked for from; absent where it was the farm itself.
    package var origin: String?

    package init(
        number: Int64,
        at: Date,
        actor: String,
        action: String,
        target: String,
        detail: SpecificationValue = .mapping([:])
    ) {
        self.number = number
        self.at = at
        self.actor = actor
        self.action = action
        self.target = target
        self.detail = detail
    }
}
