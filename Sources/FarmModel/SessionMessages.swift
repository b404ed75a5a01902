package import FoundationEssentials

/// A sign-in of the web page: the body of `POST /v1/session`.
package struct SessionRequest: Codable, Hashable, Sendable {
    package var token: String

    package init(token: String) {
        self.token = token
    }
}

/// Who is signed in.
package struct SessionView: Codable, Hashable, Sendable {
    package var owner: String
    package var role: TokenRole

    package init(owner: String, role: TokenRole) {
        self.owner = owner
        self.role = role
    }
}

/// What the farm can do and what waits for it.
package struct CapacityView: Codable, Hashable, Sendable {
    /// Workers that take tasks.
    package var workers: Int
    package var idle: Int
    /// What all of them do in a second, as far as they have told.
    package var flopsPerSecond: Double
    package var leasedTasks: Int
    package var waitingTasks: Int
    /// Waiting tasks by reason.
    package var waiting: [String: Int]

    package init(
        workers: Int,
        idle: Int,
        flopsPerSecond: Double,
        leasedTasks: Int,
        waitingTasks: Int,
        waiting: [String: Int]
    ) {
        self.workers = workers
        self.idle = idle
        self.flopsPerSecond = flopsPerSecond
        self.leasedTasks = leasedTasks
        self.waitingTasks = waitingTasks
        self.waiting = waiting
    }
}

/// A message to a job's webhook.
package struct WebhookView: Codable, Hashable, Sendable {
    package var id: String
    package var job: JobID
    package var url: String
    /// How often it was tried.
    package var attempts: Int
    package var dueAt: Date
    package var sentAt: Date?
    package var givenUpAt: Date?
    package var lastError: String?

    package init(
        id: String,
        job: JobID,
        url: String,
        attempts: Int,
        dueAt: Date,
        sentAt: Date?,
        givenUpAt: Date?,
        lastError: String?
    ) {
        self.id = id
        self.job = job
        self.url = url
        self.attempts = attempts
        self.dueAt = dueAt
        self.sentAt = sentAt
        self.givenUpAt = givenUpAt
        self.lastError = lastError
    }
}
