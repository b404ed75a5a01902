/// A way through the proxy: one listener, and where its connections go.
struct ProxyLink: Sendable {
    /// What becomes of the bytes that come.
    enum Condition: Sendable, Hashable {
        case open
        /// Nothing passes either way, and nobody is told.
        case held
        /// Each run of bytes comes so many milliseconds late.
        case slow(Int)
    }

    let name: String
    let listener: Int32
    let port: UInt16
    /// Whether it speaks HTTP, so that requests can be told apart.
    let isHTTP: Bool
    /// Where to, by name, the first that answers.
    var upstreams: [NamedUpstream]
    var condition = Condition.open
    /// How many answers to a worker's writes get lost from now on.
    var answersToLose = 0
    /// How many of a worker's requests are sent a second time from now on.
    var requestsToDouble = 0
    /// How late the second time is; nil for at once.
    var doubleDelay: Duration?
    var gate: ProxyGate?
    /// How many answers were lost and requests sent twice.
    var made = 0
    /// How many bytes the clients sent.
    var received = 0
}

/// A server by its name.
struct NamedUpstream: Sendable {
    let name: String
    let address: Upstream
}

/// A place in a conversation at which the proxy holds it.
struct ProxyGate: Sendable {
    enum Point: Sendable, Hashable {
        /// The server has the head and half of the body of a request.
        case halfBody
        /// The server has answered, and the client does not know it.
        case beforeAnswer
        /// The server has so many bytes of all that the clients sent.
        case afterBytes(Int)
    }

    let point: Point
    /// What the path of the request has in it.
    let path: String
    /// The connection that stands at it.
    var connection: Int?
    /// The server behind that connection.
    var upstream: String?
}

/// What the proxy saw come to pass.
struct ProxySignal: Sendable {
    enum Kind: Sendable, Hashable {
        /// A worker was told that its picture is delivered.
        case delivered
        /// A worker was given a task.
        case claimed
    }

    let kind: Kind
    let link: String
    let upstream: String
    let instant: ContinuousClock.Instant
}
