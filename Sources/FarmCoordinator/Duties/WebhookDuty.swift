import Crypto
package import FarmStore
import FoundationEssentials
import HTTPTransport
package import Logging

/// Sends the messages of the outbox to jobs' webhooks, each until it is taken or given up.
///
/// A message is signed, so that its reader knows that it comes from this farm and when: the header
/// `Dreamfarm-Signature: t=SECONDS,v1=HEX` has the HMAC-SHA256 of `SECONDS.BODY` under the farm's
/// webhook secret. Redirects are not followed: a signed message goes where the job said. Any
/// submitter names webhooks, so that they may only be of the public internet unless an operator
/// allows others.
package struct WebhookSender: Sendable {
    /// How many messages are under way at one time.
    private static let places = 16
    /// How soon something that is due meanwhile is sent beside what is under way.
    private static let look: Duration = .seconds(1)
    /// How long a receiver may take: less than a message rests before it is tried again.
    private static let patience: Duration = .seconds(8)

    private let store: FarmStore
    private let secret: SymmetricKey
    private let client = HTTPClient()
    private let reach: HTTPReach

    package init(store: FarmStore, secret: String, allowsPrivate: Bool = false) {
        self.store = store
        self.secret = SymmetricKey(data: Data(secret.utf8))
        reach = allowsPrivate ? .anywhere : .publicAddresses
    }

    /// The service that looks every few seconds.
    package func service(
        outage: DatabaseOutage = DatabaseOutage(),
        logger: Logger
    ) -> PeriodicService {
        PeriodicService(
            .webhooks,
            of: store,
            every: .seconds(2),
            outage: outage,
            logger: logger
        ) { logger in
            try await sendDue(logger: logger) > 0
        }
    }

    /// Sends what is due, some messages at one time, so that a receiver that does not answer holds up
    /// no other one's.
    ///
    /// - Returns: How many messages were tried.
    @discardableResult
    package func sendDue(logger: Logger) async throws -> Int {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            var (count, underWay, isLooking) = (0, 0, false)
            while !Task.isCancelled {
                while underWay < Self.places, let delivery = try await store.claimWebhook() {
                    (count, underWay) = (count + 1, underWay + 1)
                    group.addTask {
                        try await deliver(delivery, logger: logger)
                        return true
                    }
                }
                guard underWay > 0 else { break }
                if !isLooking {
                    isLooking = true
                    group.addTask {
                        try await Task.sleep(for: Self.look)
                        return false
                    }
                }
                if try await group.next() == true { underWay -= 1 } else { isLooking = false }
            }
            group.cancelAll()
            return count
        }
    }

    private func deliver(_ delivery: WebhookDelivery, logger: Logger) async throws {
        let error = try await send(delivery)
        let isGivenUp = try await store.finishWebhook(delivery.id, error: error)
        guard let error else { return }
        logger.log(
            level: isGivenUp ? .warning : .info,
            isGivenUp ? "Webhook given up" : "Webhook failed",
            metadata: ["job": "\(delivery.job)", "error": "\(error)"]
        )
    }

    /// Sends one message; nil when it was taken, else what went wrong.
    private func send(_ delivery: WebhookDelivery) async throws -> String? {
        let seconds = Int64(Date().timeIntervalSince1970)
        var request = HTTPRequest(
            method: "POST",
            url: delivery.url,
            headers: [
                (name: "Content-Type", value: "application/json"),
                (name: "User-Agent", value: "dreamfarm"),
                (name: "Dreamfarm-Delivery", value: delivery.id.uuidString.lowercased()),
                (name: "Dreamfarm-Signature", value: signature(of: delivery.body, at: seconds)),
            ],
            body: .bytes(Data(delivery.body.utf8)),
            timeout: Self.patience
        )
        request.reach = reach
        do {
            // The status is the answer; the body, whatever its length, is not read.
            let response = try await client.open(request, retry: .never)
            return response.isSuccess ? nil : "the webhook answered \(response.status)"
        } catch let error as HTTPTransportError {
            // The rest of the address may be a secret.
            let text = error.naming(Self.origin(of: delivery.url)).description
            guard case .notPublic = error else { return text }
            return text + "; the coordinator's setting webhooks-private allows others"
        }
    }

    /// Scheme, host and port of an address.
    private static func origin(of url: String) -> String {
        guard let parts = URLComponents(string: url), let scheme = parts.scheme,
            let host = parts.host
        else { return "the webhook" }
        return "\(scheme)://\(host)" + (parts.port.map { ":\($0)" } ?? "")
    }

    /// The signature of a body that is sent at a moment.
    package func signature(of body: String, at seconds: Int64) -> String {
        let code = HMAC<SHA256>.authenticationCode(
            for: Data("\(seconds).\(body)".utf8),
            using: secret
        )
        let digits = Array("0123456789abcdef")
        let text = code.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        return "t=\(seconds),v1=\(String(text))"
    }
}
