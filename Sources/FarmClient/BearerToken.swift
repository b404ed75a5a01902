import Synchronization

/// The token that a client shows, which may become another one while it lives.
package final class BearerToken: Sendable {
    private let state: Mutex<String>

    package init(_ text: String) {
        state = Mutex(text)
    }

    /// What is shown now.
    package var text: String { state.withLock { $0 } }

    /// Shows another one from now on.
    package func show(_ text: String) {
        state.withLock { $0 = text }
    }
}
