import Glibc

/// Bytes on their way in one direction.
struct Outbox: Sendable {
    private struct Chunk: Sendable {
        var bytes: ArraySlice<UInt8>
        let due: ContinuousClock.Instant
    }

    private var chunks: [Chunk] = []

    var isEmpty: Bool { chunks.isEmpty }
    /// When the first of them may go.
    var due: ContinuousClock.Instant? { chunks.first?.due }

    mutating func append(_ bytes: [UInt8], due: ContinuousClock.Instant) {
        guard !bytes.isEmpty else { return }
        chunks.append(Chunk(bytes: bytes[...], due: max(due, chunks.last?.due ?? due)))
    }

    /// Sends what is due; false when the connection is broken.
    mutating func flush(to descriptor: Int32, now: ContinuousClock.Instant) -> Bool {
        while let chunk = chunks.first, chunk.due <= now {
            let sent = chunk.bytes.withUnsafeBytes {
                send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard sent >= 0 else { return errno == EAGAIN || errno == EINTR }
            if sent < chunk.bytes.count {
                chunks[0].bytes = chunk.bytes.dropFirst(sent)
            } else {
                chunks.removeFirst()
            }
        }
        return true
    }
}

/// A request under way, and what is known of its answer.
struct ProxyExchange: Sendable {
    let method: String
    let path: String
    var request: [UInt8]
    var isSent = false
    var status = 0
    var answer: [UInt8] = []

    /// Whether a worker says something that may come twice or be lost.
    var isWorkersCall: Bool {
        path.hasPrefix("/v1/attempts/")
            || (path.hasPrefix("/v1/workers/")
                && (path.hasSuffix("/claim") || path.hasSuffix("/heartbeat")))
    }

    /// What a success of it means.
    var meaning: ProxySignal.Kind? {
        guard (200..<300).contains(status) else { return nil }
        if method == "PUT", path.contains("/images/") { return .delivered }
        if path.hasSuffix("/claim"), String(decoding: answer, as: UTF8.self).contains("\"fence\"") {
            return .claimed
        }
        return nil
    }
}

/// A client's connection and the one that goes on to a server.
struct ProxyConnection: Sendable {
    let id: Int
    let link: String
    /// -1 where the proxy itself sends a request again.
    let client: Int32
    /// -1 where none is open.
    var server: Int32 = -1
    var upstream = ""
    var toServer = Outbox()
    var toClient = Outbox()
    var requests = HTTPFramer(isAnswer: false)
    var answers = HTTPFramer(isAnswer: true)
    var exchange: ProxyExchange?
    /// What a gate keeps back, and for whom.
    var keptFromServer: [UInt8] = []
    var keptFromClient: [UInt8] = []
    /// How many bytes of a request's body still pass before its gate.
    var beforeGate: Int?
    /// Whether it ends once the client has all bytes.
    var isEnding = false
}
