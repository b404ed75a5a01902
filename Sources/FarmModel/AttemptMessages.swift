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

/// What an attempt has cost its worker so far, from its claim on.
package struct AttemptReport: Codable, Hashable, Sendable {
    /// Denoise steps that were computed; what a checkpoint brought is not among them.
    package var stepsComputed: Int
    /// Seconds of arithmetic.
    package var seconds: Double
    /// Conditions that were computed here.
    package var conditionsComputed: Int
    /// Conditions that were found computed, in memory, on disk or in the farm's artifacts.
    package var conditionsFound: Int
    /// Seconds in which the model was not ready: loading, warming up.
    package var coldStartSeconds: Double

    package init(
        stepsComputed: Int = 0,
        seconds: Double = 0,
        conditionsComputed: Int = 0,
        conditionsFound: Int = 0,
        coldStartSeconds: Double = 0
    ) {
        self.stepsComputed = stepsComputed
        self.seconds = seconds
        self.conditionsComputed = conditionsComputed
        self.conditionsFound = conditionsFound
        self.coldStartSeconds = coldStartSeconds
    }
}

/// The end of an attempt that delivered everything, or was given back.
package struct AttemptRequest: Codable, Hashable, Sendable {
    package var fence: AttemptFence
    package var report: AttemptReport?
    /// Why it was given back; nil at a completion.
    package var reason: ReleaseReason?
    /// The index of the image that it was at when it was parked; nil between two images.
    package var image: Int?
    /// How many steps of that image were done.
    package var step: Int?

    package init(
        fence: AttemptFence,
        report: AttemptReport? = nil,
        reason: ReleaseReason? = nil
    ) {
        self.fence = fence
        self.report = report
        self.reason = reason
    }
}

/// Why a worker gives an attempt back unharmed.
package enum ReleaseReason: String, Codable, CaseIterable, Sendable {
    /// The worker drains or stops.
    case draining
    /// The coordinator told it to stop.
    case cancelled
    /// It was claimed ahead and something else came first.
    case notBegun = "not_begun"
    /// It does not fit into the memory that is free now.
    case noMemory = "no_memory"
    /// A member of the group that rendered it is gone.
    case groupLost = "group_lost"
    /// The coordinator told it to make room for a task of a higher band, and its checkpoint is stored.
    case parked
}

/// The end of an attempt that failed.
package struct FailureRequest: Codable, Hashable, Sendable {
    package var fence: AttemptFence
    package var failureClass: FailureClass
    /// What failed, in words a person can act on.
    package var message: String
    /// The index of the image that failed; nil where it is not one of them.
    package var image: Int?
    package var report: AttemptReport?

    package init(
        fence: AttemptFence,
        failureClass: FailureClass,
        message: String,
        image: Int? = nil,
        report: AttemptReport? = nil
    ) {
        self.fence = fence
        self.failureClass = failureClass
        self.message = message
        self.image = image
        self.report = report
    }
}

/// Where a task stands after its attempt ended.
package struct AttemptAnswer: Codable, Hashable, Sendable {
    package var task: TaskState

    package init(task: TaskState) {
        self.task = task
    }
}

/// What became of an image's bytes that counted.
package struct DeliveryAnswer: Codable, Hashable, Sendable {
    package var digest: BlobDigest
    /// Whether the image already had these bytes.
    package var wasDelivered: Bool
    /// Where the task stands, where the delivery ended its attempt.
    package var task: TaskState?

    package init(digest: BlobDigest, wasDelivered: Bool, task: TaskState? = nil) {
        self.digest = digest
        self.wasDelivered = wasDelivered
        self.task = task
    }
}

/// What became of a checkpoint's bytes that counted.
package struct CheckpointAnswer: Codable, Hashable, Sendable {
    package var digest: BlobDigest
    /// The steps that it holds.
    package var step: Int

    package init(digest: BlobDigest, step: Int) {
        self.digest = digest
        self.step = step
    }
}
