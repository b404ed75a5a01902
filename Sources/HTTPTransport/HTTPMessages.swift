package import FoundationEssentials

/// A request to a server.
package struct HTTPRequest: Sendable {
    package var method: String
    package var url: String
    /// Names and values; a name may stand twice.
    package var headers: [(name: String, value: String)]
    package var body: HTTPBody
    package var destination: HTTPDestination
    /// How long the whole exchange may take; nil for as long as bytes move.
    package var timeout: Duration?
    /// Whether doing it twice is the same as doing it once, so that it may be tried again.
    package var isIdempotent: Bool
    /// Which addresses the server may have.
    package var reach = HTTPReach.anywhere
    /// Signs the request for Amazon's services; the header `x-amz-content-sha256` has to be set.
    package var signature: AWSSignature?

    package init(
        method: String,
        url: String,
        headers: [(name: String, value: String)] = [],
        body: HTTPBody = .none,
        destination: HTTPDestination = .memory(limit: 64 << 20),
        timeout: Duration? = .seconds(60),
        isIdempotent: Bool? = nil,
        signature: AWSSignature? = nil
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.destination = destination
        self.timeout = timeout
        self.isIdempotent = isIdempotent ?? ["GET", "HEAD", "PUT", "DELETE"].contains(method)
        self.signature = signature
    }
}

/// Whom a client believes, and what it proves itself with; PEM files.
package struct HTTPClientTLS: Hashable, Sendable {
    /// The authorities that may sign a server's certificate; nil for those of the system.
    package var authorities: String?
    /// The certificate to show to servers that ask for one.
    package var certificate: String?
    /// The certificate's private key.
    package var key: String?

    package init(authorities: String? = nil, certificate: String? = nil, key: String? = nil) {
        self.authorities = authorities
        self.certificate = certificate
        self.key = key
    }
}

/// Which addresses a request may go to, whatever the server's name.
package enum HTTPReach: Sendable {
    case anywhere
    /// Those of the public internet: for addresses that a stranger gave. A proxy of the environment is
    /// passed by, since it would look names up by itself.
    case publicAddresses
}

/// What a request sends.
package enum HTTPBody: Sendable {
    case none
    case bytes(Data)
    /// The file at a path, read as it is sent.
    case file(String)
    /// Chunks, taken as fast as they are sent and made anew for each try; the length if known.
    case stream(length: Int64?, @Sendable () -> AsyncThrowingStream<Data, any Error>)
}

/// Where the body of a 2xx answer goes; other answers' bodies always go to memory.
package enum HTTPDestination: Sendable {
    /// Memory, with an error when it is longer than `limit` bytes.
    case memory(limit: Int)
    /// The file at a path, which is created or emptied.
    case file(String)
    /// The file at a path, which goes on where it ends: the request asks for the rest, and an
    /// answer that is the whole replaces what was there. Each further try goes on likewise.
    case resumedFile(String)
}

/// Whose key signs a request, in the way of Amazon's signature version 4.
package struct AWSSignature: Sendable {
    package var region: String
    package var service: String
    package var accessKey: String
    package var secretKey: String
    package var sessionToken: String?

    package init(
        region: String,
        service: String = "s3",
        accessKey: String,
        secretKey: String,
        sessionToken: String? = nil
    ) {
        self.region = region
        self.service = service
        self.accessKey = accessKey
        self.secretKey = secretKey
        self.sessionToken = sessionToken
    }
}

/// A server's answer, whatever its status.
package struct HTTPResponse: Sendable {
    package var status: Int
    /// Values by lower-case name; the last one where a name stands twice.
    package var headers: [String: String]
    /// Empty where the body went to a file.
    package var body: Data

    /// Whether the status is 2xx.
    package var isSuccess: Bool { (200..<300).contains(status) }
}

/// A server's answer whose body is still to come.
package struct HTTPStreamingResponse: Sendable {
    package let status: Int
    /// Values by lower-case name; the last one where a name stands twice.
    package let headers: [String: String]
    package let body: HTTPByteStream

    /// Whether the status is 2xx.
    package var isSuccess: Bool { (200..<300).contains(status) }
}

/// Why there is no answer.
package enum HTTPTransportError: Error, Equatable, CustomStringConvertible {
    case invalidURL(String)
    /// Nothing was sent, because no connection came about.
    case cannotConnect(url: String, reason: String)
    /// Nothing was sent, because the name leads to an address that may not be reached.
    case notPublic(url: String, address: String)
    /// Nothing was sent, because the server did not prove that it is who it should be.
    case untrusted(url: String, reason: String)
    /// The connection broke while the exchange was under way.
    case connectionLost(url: String, reason: String)
    case timedOut(url: String)
    case bodyTooLarge(url: String, limit: Int)
    /// A file that is sent or received failed.
    case file(path: String, reason: String)
    case other(url: String, reason: String)

    package var description: String {
        switch self {
        case .invalidURL(let url):
            "'\(url)' is not an http or https address; give one like http://127.0.0.1:8470"
        case .cannotConnect(let url, let reason):
            "cannot reach \(url): \(reason); is the server running?"
        case .notPublic(let url, let address):
            "\(url) leads to \(address), which is not an address of the public internet"
        case .untrusted(let url, let reason):
            "the certificate of \(url) is not to be trusted: \(reason); where its authority is the "
                + "farm's own, name it by --tls-ca"
        case .connectionLost(let url, let reason):
            "the connection to \(url) broke: \(reason); try again"
        case .timedOut(let url): "\(url) did not answer in time; try again"
        case .bodyTooLarge(let url, let limit):
            "the answer of \(url) is longer than \(limit) bytes"
        case .file(let path, let reason): "\(path): \(reason)"
        case .other(let url, let reason): "\(url): \(reason)"
        }
    }

    /// Whether the server cannot be reached, as against a wrong request.
    package var isUnreachable: Bool {
        switch self {
        case .cannotConnect, .untrusted, .connectionLost, .timedOut: true
        case .invalidURL, .notPublic, .bodyTooLarge, .file, .other: false
        }
    }

    /// The same error of an address that is shown otherwise, as where the URL holds a secret.
    package func naming(_ url: String) -> HTTPTransportError {
        switch self {
        case .invalidURL: .invalidURL(url)
        case .cannotConnect(_, let reason): .cannotConnect(url: url, reason: reason)
        case .notPublic(_, let address): .notPublic(url: url, address: address)
        case .untrusted(_, let reason): .untrusted(url: url, reason: reason)
        case .connectionLost(_, let reason): .connectionLost(url: url, reason: reason)
        case .timedOut: .timedOut(url: url)
        case .bodyTooLarge(_, let limit): .bodyTooLarge(url: url, limit: limit)
        case .file: self
        case .other(_, let reason): .other(url: url, reason: reason)
        }
    }
}

/// How often, and after how long, a request is tried again.
package struct RetryPolicy: Sendable {
    /// How many tries there are in all.
    package var attempts: Int
    /// The wait before the second try; it doubles with each.
    package var firstDelay: Duration
    package var largestDelay: Duration
    /// Which answers are as good as none.
    package var statuses: Set<Int>

    package init(
        attempts: Int,
        firstDelay: Duration,
        largestDelay: Duration,
        statuses: Set<Int> = [429, 503]
    ) {
        self.attempts = attempts
        self.firstDelay = firstDelay
        self.largestDelay = largestDelay
        self.statuses = statuses
    }

    /// Five tries within about four seconds.
    package static let standard = RetryPolicy(
        attempts: 5,
        firstDelay: .milliseconds(250),
        largestDelay: .seconds(2)
    )

    /// One try.
    package static let never = RetryPolicy(
        attempts: 1,
        firstDelay: .zero,
        largestDelay: .zero
    )

    /// The wait after the `attempt`th try, 1 for the first: half of it fixed, half drawn, so that
    /// many clients do not come back together.
    package func delay(after attempt: Int) -> Duration {
        let doubled = firstDelay * Double(1 << min(attempt - 1, 20))
        return min(doubled, largestDelay) * Double.random(in: 0.5...1)
    }
}
