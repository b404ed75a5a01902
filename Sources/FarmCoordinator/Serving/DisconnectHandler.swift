import NIOCore
import Synchronization

/// Notices that the client of a connection has gone, also where it only ended its sending side.
///
/// A request that waits sets what to do then; HTTP/1 has one request at a time on a connection.
final class DisconnectHandler: ChannelInboundHandler, RemovableChannelHandler, Sendable {
    typealias InboundIn = NIOAny
    typealias InboundOut = NIOAny

    private struct State {
        var isGone = false
        var action: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())

    init() {}

    /// Does `action` as soon as the client is gone, at once where it is; nil takes it back.
    func whenGone(_ action: (@Sendable () -> Void)?) {
        let isGone = state.withLock { state in
            state.action = action
            return state.isGone
        }
        if isGone { action?() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        leave()
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { leave() }
        context.fireUserInboundEventTriggered(event)
    }

    private func leave() {
        let action = state.withLock { state in
            state.isGone = true
            defer { state.action = nil }
            return state.action
        }
        action?()
    }
}

extension Channel {
    /// The handler that notices when this connection's client has gone, or nil where it has none.
    func disconnectHandler() async -> DisconnectHandler? {
        let found = eventLoop.submit {
            try? self.pipeline.syncOperations.handler(type: DisconnectHandler.self)
        }
        return (try? await found.get()) ?? nil
    }
}
