import Crypto
import FarmModel
import Hummingbird

/// Holds each token to its number of requests, and each address to its number of unknown tokens.
final class RequestGate: Sendable {
    private let tokens: RequestMeter<SHA256Digest>?
    private let addresses: RequestMeter<String>

    init(_ limits: RequestLimits) {
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

    /// Refuses an address that has shown too many tokens that are not known.
    func checkUnknown(_ address: String?) throws(RequestExcess) {
        guard let address else { return }
        do {
            try addresses.check(address)
        } catch {
            throw RequestExcess(
                retryAfter: error.retryAfter,
                reason: "too many unknown tokens came from \(address)"
            )
        }
    }

    /// Notes that an address has shown a token that is not known.
    func noteUnknown(_ address: String?) {
        if let address { addresses.count(address) }
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
        do {
            var response = try await answer()
            let body = response.body
            response.body = ResponseBody(contentLength: body.contentLength) { writer in
                defer { tokens.end(key) }
                try await body.write(writer)
            }
            return response
        } catch {
            tokens.end(key)
            throw error
        }
    }
}
