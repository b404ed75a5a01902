package import FarmModel
import Synchronization

/// How often something was written by this process, counted once it is committed.
///
/// A number that grows and is kept in memory alone, for the metrics.
package final class FarmCounts: Sendable {
    private struct State {
        var attempts: [AttemptEnding: Int] = [:]
        var images: [ImageState: Int] = [:]
        var expirations = 0
        var parks: [String: Int] = [:]
        var repeatedSteps: [String: Int] = [:]
        var audits: [PictureAuditState: Int] = [:]
        var webhooks: [WebhookOutcome: Int] = [:]
    }

    /// How many models are counted by name; the rest is put together as `other`.
    private static let mostModels = 100

    private let state = Mutex(State())

    /// Attempts that ended, by how.
    package var attempts: [AttemptEnding: Int] { state.withLock(\.attempts) }

    /// Images that reached a state in which nothing more happens by itself.
    package var images: [ImageState: Int] { state.withLock(\.images) }

    /// Leases that ran out.
    package var expirations: Int { state.withLock(\.expirations) }

    /// Attempts that made room for a task of a higher band, by the model's name.
    package var parks: [String: Int] { state.withLock(\.parks) }

    /// Steps of them that no checkpoint kept, by the model's name.
    package var repeatedSteps: [String: Int] { state.withLock(\.repeatedSteps) }

    /// Audits of pictures that are decided, by what came of them.
    package var audits: [PictureAuditState: Int] { state.withLock(\.audits) }

    /// Tries to send a message to a webhook, by what came of them.
    package var webhooks: [WebhookOutcome: Int] { state.withLock(\.webhooks) }

    func note(_ outcome: WebhookOutcome) {
        state.withLock { $0.webhooks[outcome, default: 0] += 1 }
    }

    func note(audits: Int, _ outcome: PictureAuditState) {
        state.withLock { $0.audits[outcome, default: 0] += audits }
    }

    func note(_ parking: Parking) {
        state.withLock { state in
            let isKept = state.parks[parking.model] != nil || state.parks.count < Self.mostModels
            let model = isKept ? parking.model : "other"
            state.parks[model, default: 0] += 1
            state.repeatedSteps[model, default: 0] += parking.repeatedSteps
        }
    }

    func note(_ ending: AttemptEnding, _ count: Int = 1) {
        state.withLock { $0.attempts[ending, default: 0] += count }
    }

    func note(images: Int, _ newState: ImageState) {
        state.withLock { $0.images[newState, default: 0] += images }
    }

    func note(expirations: Int) {
        state.withLock { $0.expirations += expirations }
    }
}

/// What came of a try to send a message to a webhook.
package enum WebhookOutcome: String, CaseIterable, Sendable {
    case delivered
    case failed
    case givenUp = "given_up"
}
