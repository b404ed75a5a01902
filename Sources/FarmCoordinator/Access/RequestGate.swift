import Crypto
import FarmModel
import Hummingbird

/// Holds each token to its number of requests, and each address to its number of unknown tokens.
final class RequestGate: Sendable {
    /// How long ago a token may have been known that is asked about from an address which shows too many
    /// that are not: those behind one address have it in common.
    private static let memory: Duration = .seconds(600)
    /// Up to how many bytes an answer is sent at once, and over when it is made.
    private static let shortAnswer = 64 << 10

    private let authority: any TokenAuthority
    private let tokens: RequestMeter<SHA256Digest>?
    private let addresses: RequestMeter<String>

    init(_ authority: any TokenAuthority, _ limits: RequestLimits) {
        self.authority = authority
        tokens = limits.perSecond.map {
            RequestMeter(
                perSecond: $0,
                burst: $0 * limits.burstSeconds,
                underWay: limits.underWay
            )
        }
        addresses = RequestMeter(
            perSecond: limits.unknownPerSecond,
            burst: limits.unknownPerSecond * limits.burstSeconds
        )
    }

    /// Finds out whose a token is, unless its address has shown too many that are not known.
    ///
    /// - Parameters:
    ///   - token: What a request shows.
    ///   - address: Where it comes from, or nil.
    ///   - age: How old an answer that is remembered may be; nil for the usual few seconds.
    /// - Returns: The bearer, or nil where the token is unknown, over or revoked.
    /// - Throws: ``RequestExcess``, and what the authority throws.
    func caller(
        bearing token: String,
        from address: String?,
        rememberedFor age: Duration? = nil
    ) async throws -> Caller? {
        if let address {
            do throws(RequestExcess) {
                try addresses.check(address)
            } catch {
                guard authority.remembered(token, within: Self.memory) != nil else {
                    throw RequestExcess(
                        retryAfter: error.retryAfter,
                        reason: "too many unknown tokens came from \(address)"
                    )
                }
            }
        }
        let caller = try await authority.caller(bearing: token, rememberedFor: age)
        if caller == nil, let address { addresses.count(address) }
        return caller
    }

    /// Answers a request of a token; it is under way until its answer has been sent.
    ///
    /// - Throws: ``RequestExcess`` where the token has made too many, else what `answer` throws.
    func pass(
        _ caller: Caller,
        _ token: String,
        _ answer: () async throws -> Response
    ) async throws -> Response {
        guard let tokens, caller.role != .worker, caller.role != .admin else {
            return try await answer()
        }
        let key = SHA256.hash(data: Array(token.utf8))
        try tokens.begin(key)
        let place = RequestPlace { tokens.end(key) }
        var response = try await answer()
        let body = response.body
        if let length = body.contentLength, length <= Self.shortAnswer { return response }
        response.body = ResponseBody(contentLength: body.contentLength) { writer in
            defer { withExtendedLifetime(place) {} }
            try await body.write(writer)
        }
        return response
    }
}

/// What a request has while it is under way; it goes with the last that refers to it, also where an
/// answer is dropped unsent.
private final class RequestPlace: Sendable {
    private let onEnd: @Sendable () -> Void

    init(onEnd: @escaping @Sendable () -> Void) {
        self.onEnd = onEnd
    }

    deinit { onEnd() }
}
