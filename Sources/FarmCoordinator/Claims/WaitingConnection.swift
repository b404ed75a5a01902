import NIOCore
import Synchronization

/// The connection of a claim that waits.
final class WaitingConnection: Sendable {
    private struct State {
        var handler: DisconnectHandler?
        var hasGone = false
    }

    private let channel: any Channel
    private let state = Mutex(State())

    init(_ channel: any Channel) {
        self.channel = channel
    }

    /// Does `action` when the client goes.
    func watch(_ action: @escaping @Sendable () -> Void) async {
        guard let handler = await channel.disconnectHandler() else { return }
        state.withLock { $0.handler = handler }
        handler.whenGone { [self] in
            state.withLock { $0.hasGone = true }
            action()
        }
    }

    /// Ends the watch; says whether the client went meanwhile.
    func release() -> Bool {
        let (handler, hasGone) = state.withLock { state in
            defer { state.handler = nil }
            return (state.handler, state.hasGone)
        }
        handler?.whenGone(nil)
        return hasGone
    }
}
