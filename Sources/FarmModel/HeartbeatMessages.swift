package import FoundationEssentials

/// How far a worker is with one attempt.
package struct AttemptProgress: Codable, Hashable, Sendable {
    package var fence: AttemptFence
    package var phase: RenderPhase?
    /// The image that is being rendered.
    package var image: Int?
    /// How many denoise steps of it are done.
    package var step: Int
    package var steps: Int
    /// How long the last step took, in seconds.
    package var stepSeconds: Double?
    /// A small picture of what the steps so far have made.
    package var preview: PicturePreview?
    /// What the attempt has cost so far: all that is known of it when its worker dies.
    package var report: AttemptReport?

    package init(
        fence: AttemptFence,
        phase: RenderPhase? = nil,
        image: Int? = nil,
        step: Int = 0,
        steps: Int = 0,
        stepSeconds: Double? = nil,
        preview: PicturePreview? = nil,
        report: AttemptReport? = nil
    ) {
        self.fence = fence
        self.phase = phase
        self.image = image
        self.step = step
        self.steps = steps
        self.stepSeconds = stepSeconds
        self.preview = preview
        self.report = report
    }
}

/// What a worker is doing with an image.
package enum RenderPhase: String, Codable, CaseIterable, Sendable {
    /// Fetching references, adapters or a checkpoint.
    case loading
    /// Computing or fetching the conditions.
    case encoding
    case denoising
    /// Turning the latent into a picture and its file.
    case decoding
    case uploading
}

/// A picture small enough to travel in a heartbeat.
package struct PicturePreview: Codable, Hashable, Sendable {
    /// How many bytes it may have.
    package static let largestSize = 64 << 10

    /// As `image/jpeg`.
    package let mediaType: String
    package let data: Data

    /// Takes a picture's bytes, or returns nil where they are too many.
    package init?(mediaType: String, data: Data) {
        guard data.count <= Self.largestSize else { return nil }
        self.mediaType = mediaType
        self.data = data
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        let data = try container.decode(Data.self, forKey: .data)
        let type = try container.decode(String.self, forKey: .mediaType)
        guard let preview = PicturePreview(mediaType: type, data: data) else {
            throw DecodingError.dataCorruptedError(
                forKey: .data,
                in: container,
                debugDescription: "a preview has more than \(Self.largestSize) bytes"
            )
        }
        self = preview
    }
}

/// How much a line of a log matters.
package enum LogLevel: String, Codable, CaseIterable, Sendable {
    case debug
    case info
    case warning
    case error
}

/// A line that a worker logged of an attempt.
package struct LogLine: Codable, Hashable, Sendable {
    /// How many characters a line keeps.
    package static let longestText = 2000

    package var attempt: AttemptID
    /// Counts an attempt's lines from 0, so that a line that is sent twice is stored once.
    package var number: Int
    package var at: Date
    package var level: LogLevel
    package var text: String

    package init(attempt: AttemptID, number: Int, at: Date, level: LogLevel, text: String) {
        self.attempt = attempt
        self.number = number
        self.at = at
        self.level = level
        // Nothing that keeps lines has a place for NUL.
        self.text = String(text.prefix(Self.longestText).replacing("\0", with: "\u{fffd}"))
    }
}

/// What a worker did since the last heartbeat that was answered.
package struct WorkerFigures: Codable, Hashable, Sendable {
    package var steps = 0
    /// How many of the steps are a measure of the worker, and how long they took together, in seconds;
    /// nil where the worker does not say.
    package var measuredSteps: Int?
    package var measuredStepSeconds: Double?
    /// How many workers computed the latest of those steps together; nil where the worker does not say.
    package var groupSize: Int?
    /// Tokens times steps that went through the denoiser.
    package var denoiseTokens = 0
    package var conditionsComputed = 0
    package var conditionsFound = 0
    /// Seconds of rendering that was delivered.
    package var usefulSeconds = 0.0
    package var coldStartSeconds = 0.0
    package var lostToFailureSeconds = 0.0
    package var lostToPreemptionSeconds = 0.0

    package init() {}
}

/// A worker's sign of life.
package struct HeartbeatRequest: Codable, Hashable, Sendable {
    /// How many lines of log one heartbeat carries; the rest waits for the next.
    package static let mostLogLines = 200

    package var epoch: Int64
    /// Where the worker sees itself.
    package var state: WorkerState
    package var running: [AttemptProgress]
    /// Attempts that are claimed and not begun.
    package var ahead: [AttemptFence] = []
    package var log: [LogLine] = []
    /// Memory that is free for rendering, in bytes.
    package var freeMemoryBytes: Int64?
    /// Measured floating point operations a second.
    package var speed: Double?
    /// Computed conditions at hand, the latest first, where they changed.
    package var warmArtifacts: [ArtifactKey]?
    package var figures: WorkerFigures?
    /// How far it is as a member of a group; nil where it is in none.
    package var group: GroupStanding?
    /// The worker's time of day, by which a wrong clock is found.
    package var sentAt: Date?

    package init(epoch: Int64 = 0, state: WorkerState = .idle, running: [AttemptProgress] = []) {
        self.epoch = epoch
        self.state = state
        self.running = running
    }

    /// The fences of everything that the worker holds.
    package var fences: [AttemptFence] { running.map(\.fence) + ahead }
}

/// When a cancelled attempt ends.
package enum CancelMode: String, Codable, CaseIterable, Sendable {
    /// At the end of the step that runs, with a checkpoint.
    case afterStep = "after_step"
    /// At once, keeping nothing.
    case now
}

/// An attempt to stop.
package struct CancelOrder: Codable, Hashable, Sendable {
    package var attempt: AttemptID
    package var mode: CancelMode

    package init(attempt: AttemptID, mode: CancelMode) {
        self.attempt = attempt
        self.mode = mode
    }
}

/// What the coordinator wants of the worker.
package struct HeartbeatAnswer: Codable, Hashable, Sendable {
    /// Attempts to stop, because they are cancelled.
    package var cancel: [CancelOrder]
    /// Attempts to park: to end after the step that runs, with a checkpoint, since a task of a higher band
    /// takes their place; nil for none.
    package var park: [AttemptID]?
    /// Attempts whose lease is over: to be dropped, because nothing of them counts any more.
    package var stale: [AttemptID]
    package var desiredState: DesiredWorkerState
    /// Why it is wanted, for the worker's log.
    package var stateReason: String?
    /// How long to wait until the next heartbeat, in seconds.
    package var heartbeatSeconds: Double
    /// What it is to be in a group; nil: it belongs to none.
    package var group: GroupOrder?

    package init(
        cancel: [CancelOrder],
        stale: [AttemptID] = [],
        desiredState: DesiredWorkerState = .run,
        stateReason: String? = nil,
        heartbeatSeconds: Double,
        group: GroupOrder? = nil
    ) {
        self.cancel = cancel
        self.stale = stale
        self.desiredState = desiredState
        self.stateReason = stateReason
        self.heartbeatSeconds = heartbeatSeconds
        self.group = group
    }
}
