import Glibc

/// The proxy's links and connections, and what becomes of bytes; one thread at a time has them.
struct ProxyTables: Sendable {
    /// A request that is to be sent again.
    struct Replay: Sendable {
        let due: ContinuousClock.Instant
        let link: String
        let upstream: NamedUpstream
        let request: [UInt8]
    }

    /// The most of an answer that is looked into, in bytes.
    private static let longestAnswer = 256 << 10

    var links: [String: ProxyLink] = [:]
    var connections: [Int: ProxyConnection] = [:]
    var replays: [Replay] = []
    var signals: [ProxySignal] = []
    private var lastID = 0

    // MARK: - Connections

    mutating func accept(on link: ProxyLink) {
        while let client = Sockets.accept(link.listener) {
            let id = open(client, on: link.name)
            // What is no HTTP begins to talk to its server at once.
            if !link.isHTTP { _ = connect(id) }
        }
    }

    private mutating func open(_ client: Int32, on link: String) -> Int {
        lastID += 1
        connections[lastID] = ProxyConnection(id: lastID, link: link, client: client)
        return lastID
    }

    /// Connects to the link's first server that answers, unless the connection has it; else resets the client.
    private mutating func connect(_ id: Int) -> Bool {
        guard var connection = connections[id], let link = links[connection.link] else {
            return false
        }
        for upstream in link.upstreams {
            if connection.server >= 0, connection.upstream == upstream.name { return true }
            guard let server = Sockets.connect(to: upstream.address) else { continue }
            if connection.server >= 0 { close(connection.server) }
            connection.server = server
            connection.upstream = upstream.name
            connection.answers = HTTPFramer(isAnswer: true)
            connections[id] = connection
            return true
        }
        if connection.server >= 0 { return true }
        drop(id, isReset: true)
        return false
    }

    /// Ends a connection on both sides.
    mutating func drop(_ id: Int, isReset: Bool = false) {
        guard let connection = connections.removeValue(forKey: id) else { return }
        for descriptor in [connection.client, connection.server] where descriptor >= 0 {
            if isReset { Sockets.reset(descriptor) } else { close(descriptor) }
        }
    }

    /// Sends what is due of a connection.
    mutating func flush(_ id: Int, now: ContinuousClock.Instant) {
        guard var connection = connections[id],
            links[connection.link]?.condition != .held
        else { return }
        let isWhole =
            (connection.server < 0 || connection.toServer.flush(to: connection.server, now: now))
            && (connection.client < 0 || connection.toClient.flush(to: connection.client, now: now))
        let isOver = connection.isEnding && connection.toClient.isEmpty
        connections[id] = connection
        if !isWhole || isOver { drop(id) }
    }

    /// Sends the requests again whose time has come.
    mutating func replay(now: ContinuousClock.Instant) {
        let due = replays.filter { $0.due <= now }
        replays.removeAll { $0.due <= now }
        for replay in due {
            guard let server = Sockets.connect(to: replay.upstream.address) else { continue }
            let id = open(-1, on: replay.link)
            connections[id]?.server = server
            connections[id]?.upstream = replay.upstream.name
            connections[id]?.exchange = ProxyExchange(
                method: "",
                path: "",
                request: [],
                isSent: true
            )
            connections[id]?.toServer.append(replay.request, due: now)
            links[replay.link]?.made += 1
        }
    }

    // MARK: - From the client

    mutating func take(_ bytes: [UInt8], fromClient id: Int, now: ContinuousClock.Instant) {
        guard let connection = connections[id], let link = links[connection.link] else { return }
        guard link.isHTTP else { return takeRaw(bytes, id, link, now) }
        for piece in connections[id]?.requests.take(bytes) ?? [] {
            if let head = piece.head {
                guard connect(id) else { return }
                begin(head, id, link)
            }
            connections[id]?.exchange?.request += piece.bytes
            send(piece, to: id, now)
            if piece.endsMessage { finishRequest(id, now) }
        }
    }

    /// Passes bytes of a conversation that is no HTTP, up to its link's gate.
    private mutating func takeRaw(
        _ bytes: [UInt8],
        _ id: Int,
        _ link: ProxyLink,
        _ now: ContinuousClock.Instant
    ) {
        var open = bytes[...]
        if case .afterBytes(let limit) = link.gate?.point {
            open = bytes.prefix(max(0, limit - link.received))
            if open.count < bytes.count {
                connections[id]?.keptFromServer += bytes.dropFirst(open.count)
                if link.gate?.connection == nil {
                    links[link.name]?.gate?.connection = id
                    links[link.name]?.gate?.upstream = connections[id]?.upstream
                }
            }
        }
        links[link.name]?.received += bytes.count
        connections[id]?.toServer.append(Array(open), due: now + link.delay)
    }

    private mutating func begin(_ head: HTTPFramer.Head, _ id: Int, _ link: ProxyLink) {
        connections[id]?.exchange = ProxyExchange(
            method: String(head.method),
            path: String(head.path),
            request: []
        )
        guard let gate = link.gate, gate.connection == nil, gate.point == .halfBody,
            head.path.contains(gate.path), let length = head.length, length > 1
        else { return }
        connections[id]?.beforeGate = length / 2
    }

    private mutating func send(
        _ piece: HTTPFramer.Piece,
        to id: Int,
        _ now: ContinuousClock.Instant
    ) {
        guard let connection = connections[id], let link = links[connection.link] else { return }
        var open = piece.bytes[...]
        if let left = connection.beforeGate, piece.head == nil {
            open = open.prefix(left)
            connections[id]?.beforeGate = left - open.count
            connections[id]?.keptFromServer += piece.bytes.dropFirst(open.count)
            if left == open.count, link.gate?.connection == nil {
                links[link.name]?.gate?.connection = id
                links[link.name]?.gate?.upstream = connection.upstream
            }
        }
        connections[id]?.toServer.append(Array(open), due: now + link.delay)
    }

    private mutating func finishRequest(_ id: Int, _ now: ContinuousClock.Instant) {
        connections[id]?.exchange?.isSent = true
        guard let connection = connections[id], let link = links[connection.link],
            let exchange = connection.exchange, exchange.isWorkersCall, link.requestsToDouble > 0,
            let upstream = link.upstreams.first(where: { $0.name == connection.upstream })
        else { return }
        links[link.name]?.requestsToDouble -= 1
        replays.append(
            Replay(
                due: now + (link.doubleDelay ?? .zero),
                link: link.name,
                upstream: upstream,
                request: exchange.request
            )
        )
    }

    // MARK: - From the server

    mutating func take(_ bytes: [UInt8], fromServer id: Int, now: ContinuousClock.Instant) {
        guard let connection = connections[id], let link = links[connection.link] else { return }
        guard link.isHTTP else {
            connections[id]?.toClient.append(bytes, due: now + link.delay)
            return
        }
        for piece in connections[id]?.answers.take(bytes) ?? [] {
            takeAnswer(piece, id, now)
        }
    }

    private mutating func takeAnswer(
        _ piece: HTTPFramer.Piece,
        _ id: Int,
        _ now: ContinuousClock.Instant
    ) {
        guard let connection = connections[id], let link = links[connection.link],
            var exchange = connection.exchange
        else { return }
        if let head = piece.head { exchange.status = head.status }
        if exchange.answer.count < Self.longestAnswer { exchange.answer += piece.bytes }
        connections[id]?.exchange = exchange
        connections[id]?.keptFromClient += piece.bytes
        let stands =
            link.gate?.point == .beforeAnswer && link.gate?.connection == nil
            && exchange.path.contains(link.gate?.path ?? "") && exchange.isWorkersCall
        let isLost = link.answersToLose > 0 && exchange.isWorkersCall
        // Only what is whole can be held or lost knowingly.
        guard piece.endsMessage || !(stands || isLost) else { return }
        if piece.endsMessage {
            if stands, exchange.meaning == .delivered || exchange.path.contains("/checkpoint") {
                links[link.name]?.gate?.connection = id
                links[link.name]?.gate?.upstream = connection.upstream
                return
            }
            if isLost, exchange.meaning != nil {
                links[link.name]?.answersToLose -= 1
                links[link.name]?.made += 1
                return drop(id, isReset: true)
            }
            finish(exchange, connection, now)
        }
        passAnswer(id, link, now)
    }

    private mutating func finish(
        _ exchange: ProxyExchange,
        _ connection: ProxyConnection,
        _ now: ContinuousClock.Instant
    ) {
        connections[connection.id]?.exchange = nil
        if connection.client < 0 { return drop(connection.id) }
        if let meaning = exchange.meaning {
            signals.append(
                ProxySignal(
                    kind: meaning,
                    link: connection.link,
                    upstream: connection.upstream,
                    instant: now
                )
            )
        }
    }

    private mutating func passAnswer(
        _ id: Int,
        _ link: ProxyLink,
        _ now: ContinuousClock.Instant
    ) {
        guard let kept = connections[id]?.keptFromClient else { return }
        connections[id]?.keptFromClient = []
        connections[id]?.toClient.append(kept, due: now + link.delay)
    }

    /// Notes that a server has closed its side.
    mutating func serverEnded(_ id: Int) {
        guard let connection = connections[id], let link = links[connection.link] else { return }
        if link.isHTTP, connection.exchange == nil {
            // Between two requests that is nothing to tell.
            close(connection.server)
            connections[id]?.server = -1
        } else if connection.toClient.isEmpty {
            drop(id)
        } else {
            close(connection.server)
            connections[id]?.server = -1
            connections[id]?.isEnding = true
        }
    }

    // MARK: - Gates

    /// Lets what stands at a link's gate go on, and takes the gate away.
    mutating func openGate(of name: String, now: ContinuousClock.Instant) {
        links[name]?.gate = nil
        for (id, connection) in connections where connection.link == name {
            connections[id]?.beforeGate = nil
            connections[id]?.toServer.append(connection.keptFromServer, due: now)
            connections[id]?.keptFromServer = []
            guard !connection.keptFromClient.isEmpty else { continue }
            connections[id]?.toClient.append(connection.keptFromClient, due: now)
            connections[id]?.keptFromClient = []
            connections[id]?.exchange = nil
        }
    }
}

extension ProxyLink {
    /// How late bytes come.
    fileprivate var delay: Duration {
        if case .slow(let milliseconds) = condition { .milliseconds(milliseconds) } else { .zero }
    }
}
