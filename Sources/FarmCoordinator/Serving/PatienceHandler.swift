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
    /// How long a client may leave an answer lying that fills the connection.
    package var taking: TimeAmount = .minutes(5)
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

/// Lets go of connections on which a request comes too slowly, or does not come, or whose client does
/// not take its answer.
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
    /// Until the next request's head, or the end of the window in which a body is watched.
    private var timer: Scheduled<Void>?
    /// Until the client has to have taken something of an answer.
    private var writeTimer: Scheduled<Void>?
    /// Requests that came and are not answered to the end.
    private var unanswered = 0
    /// Whether a request's body is not there to its end.
    private var isBodyOpen = false
    /// Bytes of the body that came in this window.
    private var received = 0
    /// Since when the server waits for bytes; nil while it does not.
    private var awaitingSince: NIODeadline?
    /// How long it has waited in this window.
    private var awaited = TimeAmount.zero

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
        writeTimer?.cancel()
        if let address { census.leave(address) }
        address = nil
        context.fireChannelInactive()
    }

    // MARK: - What comes

    func read(context: ChannelHandlerContext) {
        awaitingSince = awaitingSince ?? context.eventLoop.now
        context.read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        endWaiting(context)
        switch unwrapInboundIn(data) {
        case .head:
            unanswered += 1
            isBodyOpen = true
            watchBody(context)
        case .body(let bytes): received += bytes.readableBytes
        case .end:
            isBodyOpen = false
            timer?.cancel()
            if unanswered == 0 { expectHead(within: limits.rest, context) }
        }
        context.fireChannelRead(data)
    }

    private func endWaiting(_ context: ChannelHandlerContext) {
        guard let since = awaitingSince else { return }
        awaited = awaited + (context.eventLoop.now - since)
        awaitingSince = nil
    }

    private func expectHead(within time: TimeAmount, _ context: ChannelHandlerContext) {
        timer?.cancel()
        timer = closing(in: time, context)
    }

    private func watchBody(_ context: ChannelHandlerContext) {
        timer?.cancel()
        received = 0
        awaited = .zero
        if awaitingSince != nil { awaitingSince = context.eventLoop.now }
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: limits.window) { [self] in
            let isAwaiting = awaitingSince != nil
            endWaiting(context)
            if isAwaiting { awaitingSince = context.eventLoop.now }
            let seconds = Double(awaited.nanoseconds) / 1e9
            // Where the server itself was busy for most of the time nothing is said of the client.
            let isJudged = awaited.nanoseconds * 2 > limits.window.nanoseconds
            if isJudged, Double(received) < Double(limits.leastSpeed) * seconds {
                context.close(promise: nil)
            } else {
                watchBody(context)
            }
        }
    }

    // MARK: - What goes

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) {
            unanswered = max(0, unanswered - 1)
            // The rest of a body that was answered early is still watched.
            if unanswered == 0, !isBodyOpen { expectHead(within: limits.rest, context) }
        }
        context.write(data, promise: promise)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        writeTimer?.cancel()
        writeTimer = context.channel.isWritable ? nil : closing(in: limits.taking, context)
        context.fireChannelWritabilityChanged()
    }

    private func closing(in time: TimeAmount, _ context: ChannelHandlerContext) -> Scheduled<Void> {
        context.eventLoop.assumeIsolated().scheduleTask(in: time) { context.close(promise: nil) }
    }
}
