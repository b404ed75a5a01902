import Foundation
import Glibc
import Synchronization

/// A proxy between the parts of a farm, on a thread of its own, which can do to their connections what networks do.
final class Proxy: Sendable {
    private let tables = Mutex(ProxyTables())
    /// Wakes the thread: read and write end.
    private let bell: (Int32, Int32)
    private let isOver = Mutex(false)

    init() throws {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw HarnessError("no pipe can be made") }
        for end in ends { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        bell = (ends[0], ends[1])
        Thread.detachNewThread { [self] in
            while !isOver.withLock({ $0 }) { turn() }
        }
    }

    /// Ends every connection, and the thread.
    func close() {
        isOver.withLock { $0 = true }
        change { tables in
            for id in Array(tables.connections.keys) { tables.drop(id) }
            for link in tables.links.values { Glibc.close(link.listener) }
            tables.links = [:]
        }
    }

    // MARK: - Links

    /// Adds a way; returns the port at which it begins.
    func addLink(_ name: String, isHTTP: Bool, to upstreams: [NamedUpstream]) throws -> UInt16 {
        let (listener, port) = try Sockets.listen()
        change {
            $0.links[name] = ProxyLink(
                name: name,
                listener: listener,
                port: port,
                isHTTP: isHTTP,
                upstreams: upstreams
            )
        }
        return port
    }

    func set(_ condition: ProxyLink.Condition, of link: String) {
        change { $0.links[link]?.condition = condition }
    }

    /// Loses the answers to so many of a link's next calls.
    func loseAnswers(_ count: Int, of link: String) {
        change { $0.links[link]?.answersToLose = count }
    }

    /// Sends so many of a link's next calls twice, the second time so much later.
    func doubleRequests(_ count: Int, of link: String, after delay: Duration?) {
        change {
            $0.links[link]?.requestsToDouble = count
            $0.links[link]?.doubleDelay = delay
        }
    }

    /// How many answers a link has lost and how many calls it has sent twice since it was asked last.
    func takeMade(of link: String) -> Int {
        change { tables in
            defer { tables.links[link]?.made = 0 }
            return tables.links[link]?.made ?? 0
        }
    }

    /// Resets every connection of a link; returns how many there were.
    @discardableResult
    func resetConnections(of link: String) -> Int {
        change { tables in
            let ids = tables.connections.values.filter { $0.link == link }.map(\.id)
            for id in ids { tables.drop(id, isReset: true) }
            return ids.count
        }
    }

    /// Tells the servers of a link's connections that nothing more comes, though the clients go on.
    @discardableResult
    func halfCloseConnections(of link: String) -> Int {
        change { tables in
            let open = tables.connections.values.filter { $0.link == link && $0.server >= 0 }
            for connection in open { shutdown(connection.server, Int32(SHUT_WR)) }
            return open.count
        }
    }

    // MARK: - Gates

    func arm(_ gate: ProxyGate, at link: String) {
        change {
            $0.links[link]?.gate = gate
            $0.links[link]?.received = 0
        }
    }

    /// The server behind the connection that stands at a link's gate; nil while none does.
    func standing(at link: String) -> String? {
        tables.withLock { tables in
            guard let gate = tables.links[link]?.gate, let id = gate.connection,
                let connection = tables.connections[id], connection.toServer.isEmpty
            else { return nil }
            return gate.upstream
        }
    }

    func openGate(of link: String) {
        change { $0.openGate(of: link, now: .now) }
    }

    /// How many bytes came through a link from its clients.
    func received(on link: String) -> Int {
        tables.withLock { $0.links[link]?.received ?? 0 }
    }

    // MARK: - Signals

    /// The first thing that came to pass since a moment, of those that are looked for.
    func firstSignal(
        since moment: ContinuousClock.Instant,
        where isWanted: (ProxySignal) -> Bool
    ) -> ProxySignal? {
        tables.withLock { tables in
            let start = tables.signals.lastIndex { $0.instant < moment }.map { $0 + 1 } ?? 0
            return tables.signals[start...].first(where: isWanted)
        }
    }

    private func change<Result: Sendable>(_ body: (inout ProxyTables) -> Result) -> Result {
        defer { _ = write(bell.1, "!", 1) }
        return tables.withLock { body(&$0) }
    }

    // MARK: - The thread

    /// What a descriptor is polled for.
    private enum Watch {
        case bell
        case listener(String)
        case client(Int)
        case server(Int)
    }

    private func turn() {
        let watched = tables.withLock { Self.watched(&$0) }
        var descriptors = watched.0 + [pollfd(fd: bell.0, events: Int16(POLLIN), revents: 0)]
        let watches = watched.1 + [.bell]
        let wait = watched.2
        guard poll(&descriptors, nfds_t(descriptors.count), wait) >= 0 else { return }
        var crumbs = [UInt8](repeating: 0, count: 256)
        while read(bell.0, &crumbs, crumbs.count) > 0 {}
        tables.withLock { tables in
            let now = ContinuousClock.now
            tables.replay(now: now)
            for (descriptor, watch) in zip(descriptors, watches) where descriptor.revents != 0 {
                Self.serve(watch, descriptor.fd, now, &tables)
            }
            for id in Array(tables.connections.keys) { tables.flush(id, now: now) }
        }
    }

    private static func watched(_ tables: inout ProxyTables) -> ([pollfd], [Watch], Int32) {
        var descriptors: [pollfd] = []
        var watches: [Watch] = []
        let now = ContinuousClock.now
        var next = now + .seconds(1)
        for replay in tables.replays { next = min(next, replay.due) }
        func watch(_ descriptor: Int32, _ outbox: Outbox?, _ watch: Watch) {
            guard descriptor >= 0 else { return }
            var events = Int16(POLLIN)
            if let due = outbox?.due {
                if due <= now { events |= Int16(POLLOUT) } else { next = min(next, due) }
            }
            descriptors.append(pollfd(fd: descriptor, events: events, revents: 0))
            watches.append(watch)
        }
        for link in tables.links.values where link.condition != .held {
            watch(link.listener, nil, .listener(link.name))
        }
        for connection in tables.connections.values
        where tables.links[connection.link]?.condition != .held {
            watch(connection.client, connection.toClient, .client(connection.id))
            watch(connection.server, connection.toServer, .server(connection.id))
        }
        let wait = max(0, (next - now) / .milliseconds(1))
        return (descriptors, watches, Int32(wait.rounded(.up)))
    }

    private static func serve(
        _ watch: Watch,
        _ descriptor: Int32,
        _ now: ContinuousClock.Instant,
        _ tables: inout ProxyTables
    ) {
        switch watch {
        case .bell: break
        case .listener(let name):
            if let link = tables.links[name] { tables.accept(on: link) }
        case .client(let id):
            guard tables.connections[id]?.client == descriptor else { return }
            switch received(from: descriptor) {
            case .none: break
            case .some(nil): tables.drop(id)
            case .some(let bytes?): tables.take(bytes, fromClient: id, now: now)
            }
        case .server(let id):
            guard tables.connections[id]?.server == descriptor else { return }
            switch received(from: descriptor) {
            case .none: break
            case .some(nil): tables.serverEnded(id)
            case .some(let bytes?): tables.take(bytes, fromServer: id, now: now)
            }
        }
    }

    /// What has come: nothing yet, the end, or bytes.
    private static func received(from descriptor: Int32) -> [UInt8]?? {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        if count < 0 { return errno == EAGAIN || errno == EINTR ? .none : .some(nil) }
        return count == 0 ? .some(nil) : .some(Array(buffer.prefix(count)))
    }
}
