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
