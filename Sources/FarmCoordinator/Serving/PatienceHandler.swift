package import NIOCore
import NIOHTTPTypes
import Synchronization

/// How long a connection is waited for, and how many there may be.
package struct ConnectionLimits: Sendable {
    /// How long the first request's head may take from the connection on, TLS included.
    package var head: TimeAmount = .seconds(20)
    /// How long a connection may rest between two requests.
    package var rest: TimeAmount = .seconds(120)
    /// How often the speed of a body is looked at.
    package var window: TimeAmount = .seconds(30)
    /// The least speed of a body, in bytes a second.
    package var leastSpeed = 1024
    /// How many connections there may be in all.
    package var all = 16_384
    /// How many of them may be of one address.
    package var perAddress = 12_288

    package init() {}
}

/// How many connections each address has.
final class ConnectionCensus: Sendable {
    private let counts = Mutex<[String: Int]>([:])

    /// Counts a connection, unless its address has as many as it may.
    func enter(_ address: String, limit: Int) -> Bool {
        counts.withLock { counts in
            guard counts[address, default: 0] < limit else { return false }
            counts[address, default: 0] += 1
            return true
        }
    }

    /// Counts a connection no more.
    func leave(_ address: String) {
        counts.withLock { counts in
            counts[address, default: 1] -= 1
            if counts[address] == 0 { counts[address] = nil }
        }
    }
}

/// Lets go of connections on which a request comes too slowly, or does not come.
///
/// A request that is being answered may take any time. A body is held to its speed only while the
/// server waits for more of it.
final class PatienceHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private let limits: ConnectionLimits
    private let census: ConnectionCensus
    /// The address that is counted; nil where it is not.
    private var address: String?
    private var timer: Scheduled<Void>?
    /// Bytes of the body that came in this window.
    private var received = 0
    /// Whether the server waits for bytes.
    private var isAwaiting = false

    init(_ limits: ConnectionLimits, _ census: ConnectionCensus) {
        self.limits = limits
        self.census = census
    }

    func channelActive(context: ChannelHandlerContext) {
        if let found = context.remoteAddress?.ipAddress {
            guard census.enter(found, limit: limits.perAddress) else {
                return context.close(promise: nil)
            }
            address = found
        }
        expectHead(within: limits.head, context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        if let address { census.leave(address) }
        address = nil
        context.fireChannelInactive()
    }

    func read(context: ChannelHandlerContext) {
        isAwaiting = true
        context.read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        isAwaiting = false
        switch unwrapInboundIn(data) {
        case .head: watchBody(context)
        case .body(let bytes): received += bytes.readableBytes
        case .end: timer?.cancel()
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) { expectHead(within: limits.rest, context) }
        context.write(data, promise: promise)
    }

    private func expectHead(within time: TimeAmount, _ context: ChannelHandlerContext) {
        timer?.cancel()
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: time) {
            context.close(promise: nil)
        }
    }

    private func watchBody(_ context: ChannelHandlerContext) {
        timer?.cancel()
        received = 0
        let least = limits.leastSpeed * Int(limits.window.nanoseconds / 1_000_000_000)
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: limits.window) { [self] in
            if isAwaiting, received < least {
                context.close(promise: nil)
            } else {
                watchBody(context)
            }
        }
    }
}
