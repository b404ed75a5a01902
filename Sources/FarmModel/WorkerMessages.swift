/// The model that a worker holds in memory.
package struct RendererModel: Codable, Hashable, Sendable {
    /// The name under which the farm records the model if it does not know its digest.
    package var name: String
    /// The digest of everything that makes the model: base weights, adapters, turbo or not.
    package var digest: String
    /// The precision of the arithmetic, as `float32`.
    package var precision: String
    package var defaults: ModelDefaults

    package init(name: String, digest: String, precision: String, defaults: ModelDefaults) {
        self.name = name
        self.digest = digest
        self.precision = precision
        self.defaults = defaults
    }
}

/// What a worker says of itself when it begins.
package struct RegistrationRequest: Codable, Hashable, Sendable {
    /// The version of the worker protocol that this release speaks.
    package static let currentProtocol = 1

    package var protocolVersion: Int
    package var name: String
    package var pool: String
    package var model: RendererModel

    package init(name: String, pool: String, model: RendererModel) {
        protocolVersion = Self.currentProtocol
        self.name = name
        self.pool = pool
        self.model = model
    }
}

/// Who the worker is from now on.
package struct RegistrationAnswer: Codable, Hashable, Sendable {
    package var id: WorkerID
    package var epoch: Int64
    /// The model's name as the farm knows it.
    package var model: String
    /// How long a lease lasts without a heartbeat, in seconds.
    package var leaseSeconds: Double
    /// How long to wait between heartbeats, in seconds.
    package var heartbeatSeconds: Double

    package init(
        id: WorkerID,
        epoch: Int64,
        model: String,
        leaseSeconds: Double,
        heartbeatSeconds: Double
    ) {
        self.id = id
        self.epoch = epoch
        self.model = model
        self.leaseSeconds = leaseSeconds
        self.heartbeatSeconds = heartbeatSeconds
    }
}

/// The right to write for one attempt: every write of a worker carries it.
package struct AttemptFence: Codable, Hashable, Sendable {
    package var task: TaskID
    package var attempt: AttemptID
    package var epoch: Int64

    package init(task: TaskID, attempt: AttemptID, epoch: Int64) {
        self.task = task
        self.attempt = attempt
        self.epoch = epoch
    }
}

/// How far a worker is with one attempt.
package struct AttemptProgress: Codable, Hashable, Sendable {
    package var fence: AttemptFence
    /// The image that is being rendered.
    package var image: Int?
    /// How many denoise steps of it are done.
    package var step: Int
    package var steps: Int
    /// How long the last step took, in seconds.
    package var stepSeconds: Double?

    package init(fence: AttemptFence, image: Int?, step: Int, steps: Int, stepSeconds: Double?) {
        self.fence = fence
        self.image = image
        self.step = step
        self.steps = steps
        self.stepSeconds = stepSeconds
    }
}

/// A worker's sign of life.
package struct HeartbeatRequest: Codable, Hashable, Sendable {
    package var running: [AttemptProgress]

    package init(running: [AttemptProgress]) {
        self.running = running
    }
}

/// What the coordinator wants of the worker.
package struct HeartbeatAnswer: Codable, Hashable, Sendable {
    /// Attempts to stop now, because they are cancelled or no longer this worker's.
    package var cancel: [AttemptID]
    /// How long to wait until the next heartbeat, in seconds.
    package var heartbeatSeconds: Double

    package init(cancel: [AttemptID], heartbeatSeconds: Double) {
        self.cancel = cancel
        self.heartbeatSeconds = heartbeatSeconds
    }
}

/// A worker's wish for a task.
package struct ClaimRequest: Codable, Hashable, Sendable {
    /// How long the coordinator may wait for a task to come, in seconds.
    package var waitSeconds: Double

    package init(waitSeconds: Double) {
        self.waitSeconds = waitSeconds
    }
}

/// A task, or why there is none.
package struct ClaimAnswer: Codable, Hashable, Sendable {
    package var task: TaskAssignment?
    /// Why there is no task, as `no_task`.
    package var reason: String?

    package init(task: TaskAssignment?, reason: String?) {
        self.task = task
        self.reason = reason
    }
}

/// A task with everything a worker needs to do it.
package struct TaskAssignment: Codable, Hashable, Sendable {
    package var fence: AttemptFence
    package var job: JobID
    /// How long the lease lasts from now without a heartbeat, in seconds.
    package var leaseSeconds: Double
    /// The images that are still to be delivered.
    package var images: [ImageAssignment]

    package init(
        fence: AttemptFence,
        job: JobID,
        leaseSeconds: Double,
        images: [ImageAssignment]
    ) {
        self.fence = fence
        self.job = job
        self.leaseSeconds = leaseSeconds
        self.images = images
    }
}

/// One image to render.
package struct ImageAssignment: Codable, Hashable, Sendable {
    package var id: ImageID
    package var index: Int
    package var settings: RenderSettings

    package init(id: ImageID, index: Int, settings: RenderSettings) {
        self.id = id
        self.index = index
        self.settings = settings
    }
}

/// The end of an attempt that delivered everything, or was given back.
package struct AttemptRequest: Codable, Hashable, Sendable {
    package var fence: AttemptFence

    package init(fence: AttemptFence) {
        self.fence = fence
    }
}

/// The end of an attempt that failed.
package struct FailureRequest: Codable, Hashable, Sendable {
    package var fence: AttemptFence
    package var failureClass: FailureClass
    /// What failed, in words a person can act on.
    package var message: String

    package init(fence: AttemptFence, failureClass: FailureClass, message: String) {
        self.fence = fence
        self.failureClass = failureClass
        self.message = message
    }
}

/// What became of a write that counted.
package struct DeliveryAnswer: Codable, Hashable, Sendable {
    package var digest: BlobDigest
    /// Whether the image already had these bytes.
    package var wasDelivered: Bool

    package init(digest: BlobDigest, wasDelivered: Bool) {
        self.digest = digest
        self.wasDelivered = wasDelivered
    }
}

/// Where a task stands after its attempt ended.
package struct AttemptAnswer: Codable, Hashable, Sendable {
    package var task: TaskState

    package init(task: TaskState) {
        self.task = task
    }
}
