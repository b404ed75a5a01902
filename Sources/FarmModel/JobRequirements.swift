/// What the workers of a job have to be; what is left out may be anything.
package struct JobRequirements: Codable, Hashable, Sendable {
    /// How many named limits a job may have.
    static let mostLimits = 16

    /// The precision of the arithmetic, as `int8`.
    package var precision: String?
    /// The numeric class of the pictures, as a worker and a picture name it.
    package var numericClass: String?
    /// Memory that a worker's rendering may use, in bytes.
    package var memoryBytes: Int64?
    /// How many workers render one picture together.
    package var group: Int?
    package var pool: String?
    /// Sorted, each once.
    package var tags: [String]
    /// The named limits of which each leased task takes a place: sorted, each once; nil for none.
    package var limits: [String]?

    package init(
        precision: String? = nil,
        numericClass: String? = nil,
        memoryBytes: Int64? = nil,
        group: Int? = nil,
        pool: String? = nil,
        tags: [String] = [],
        limits: [String]? = nil
    ) {
        self.precision = precision
        self.numericClass = numericClass
        self.memoryBytes = memoryBytes
        self.group = group
        self.pool = pool
        self.tags = tags
        self.limits = limits
    }
}

/// What bounds a job.
package struct JobLimits: Hashable, Sendable {
    /// How often a task is tried where a job does not say.
    package static let standardAttempts = 5

    /// How many of its tasks are at work at one time; nil for as many as there are workers.
    package var maxWorkers: Int?
    /// How often a task is tried.
    package var maxAttempts = standardAttempts
    /// How many images may fail before the rest is cancelled; nil for all.
    package var maxFailures: Int?

    package init() {}
}

/// How many images a task of the job gets.
package struct JobChunk: Hashable, Sendable {
    /// How long a task is to take where a job does not say, in seconds.
    package static let standardTarget = 60.0

    /// How long a task is to take, in seconds.
    package var targetSeconds = standardTarget
    /// A fixed number of images; nil for as many as ``targetSeconds`` asks for.
    package var count: Int?

    package init() {}
}
