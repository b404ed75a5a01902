package import FarmModel
package import FoundationEssentials
import Postgres

/// A webhook to be sent now.
package struct WebhookDelivery: Sendable, Hashable {
    package let id: UUID
    package let job: JobID
    package let url: String
    /// As JSON.
    package let body: String
    /// Counts the tries from 1.
    package let attempt: Int
}

/// A webhook as it stands.
package struct WebhookRecord: Sendable, Hashable {
    package let id: UUID
    package let job: JobID
    package let url: String
    package let attempts: Int
    package let dueAt: Date
    package let sentAt: Date?
    package let givenUpAt: Date?
    package let lastError: String?
}

extension FarmStore {
    /// How often a webhook is tried, and how long it rests after the first time; the rest triples.
    private static let webhookTries = 10
    private static let webhookRest: Duration = .seconds(10)
    private static let longestWebhookRest: Duration = .seconds(6 * 3600)

    /// Takes a webhook that is due, or returns nil; it is due again later unless it is finished.
    package func claimWebhook() async throws -> WebhookDelivery? {
        try await pool.query(
            """
            WITH due AS (
                SELECT id FROM webhook
                WHERE sent_at IS NULL AND given_up_at IS NULL AND due_at <= now()
                ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
            )
            UPDATE webhook SET attempts = attempts + 1, due_at = now() + make_interval(secs =>
                least(\(Self.longestWebhookRest.inSeconds),
                    \(Self.webhookRest.inSeconds) * power(3, least(attempts, 20))))
            FROM due WHERE webhook.id = due.id
            RETURNING webhook.id, job_id, url, body::text AS body, attempts
            """
        ).first.map {
            WebhookDelivery(
                id: try $0.decode("id"),
                job: try $0.decode("job_id"),
                url: try $0.decode("url"),
                body: try $0.decode("body"),
                attempt: try $0.decode("attempts")
            )
        }
    }

    /// Notes that a webhook was taken by its receiver, or what went wrong; true when it is given up
    /// with that.
    @discardableResult
    package func finishWebhook(_ id: UUID, error: String?) async throws -> Bool {
        let row = try await pool.query(
            """
            UPDATE webhook SET last_error = \(error),
                sent_at = CASE WHEN \(error)::text IS NULL THEN now() END,
                given_up_at = CASE WHEN \(error)::text IS NOT NULL
                    AND attempts >= \(Self.webhookTries) THEN now() END
            WHERE id = \(id) AND sent_at IS NULL AND given_up_at IS NULL
            RETURNING given_up_at IS NOT NULL AS is_given_up
            """
        ).first
        let isGivenUp = try row?.decode("is_given_up", as: Bool.self) ?? false
        if row != nil { counts.note(error == nil ? .delivered : isGivenUp ? .givenUp : .failed) }
        return isGivenUp
    }

    /// Returns the webhooks of a job, or of all, those due last first.
    package func webhooks(of job: JobID? = nil, limit: Int) async throws -> [WebhookRecord] {
        try await pool.query(
            """
            SELECT id, job_id, url, attempts, due_at, sent_at, given_up_at, last_error
            FROM webhook WHERE \(job)::uuid IS NULL OR job_id = \(job)
            ORDER BY due_at DESC, id LIMIT \(limit)
            """
        ).map {
            WebhookRecord(
                id: try $0.decode("id"),
                job: try $0.decode("job_id"),
                url: try $0.decode("url"),
                attempts: try $0.decode("attempts"),
                dueAt: try $0.decode("due_at"),
                sentAt: try $0.decodeIfPresent("sent_at"),
                givenUpAt: try $0.decodeIfPresent("given_up_at"),
                lastError: try $0.decodeIfPresent("last_error")
            )
        }
    }
}
