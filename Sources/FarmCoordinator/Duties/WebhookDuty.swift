import Crypto
package import FarmStore
import FoundationEssentials
package import HTTPTransport
package import Logging

/// Sends the messages of the outbox to jobs' webhooks, each until it is taken or given up.
///
/// A message is signed, so that its reader knows that it comes from this farm and when: the header
/// `Dreamfarm-Signature: t=SECONDS,v1=HEX` has the HMAC-SHA256 of `SECONDS.BODY` under the farm's
/// webhook secret. Redirects are not followed: a signed message goes where the job said.
package struct WebhookSender: Sendable {
    private let store: FarmStore
    private let secret: SymmetricKey
    private let client: HTTPClient

    package init(store: FarmStore, secret: String, client: HTTPClient = HTTPClient()) {
        self.store = store
        self.secret = SymmetricKey(data: Data(secret.utf8))
        self.client = client
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
            try await sendDue(logger: logger)
        }
    }

    /// Sends what is due, one message after the other.
    ///
    /// - Returns: How many messages were tried.
    @discardableResult
    package func sendDue(logger: Logger) async throws -> Int {
        var count = 0
        while !Task.isCancelled, let delivery = try await store.claimWebhook() {
            count += 1
            let error = try await send(delivery)
            let isGivenUp = try await store.finishWebhook(delivery.id, error: error)
            guard let error else { continue }
            logger.log(
                level: isGivenUp ? .warning : .info,
                isGivenUp ? "Webhook given up" : "Webhook failed",
                metadata: ["job": "\(delivery.job)", "error": "\(error)"]
            )
        }
        return count
    }

    /// Sends one message; nil when it was taken, else what went wrong.
    private func send(_ delivery: WebhookDelivery) async throws -> String? {
        let seconds = Int64(Date().timeIntervalSince1970)
        let request = HTTPRequest(
            method: "POST",
            url: delivery.url,
            headers: [
                (name: "Content-Type", value: "application/json"),
                (name: "User-Agent", value: "dreamfarm"),
                (name: "Dreamfarm-Delivery", value: delivery.id.uuidString.lowercased()),
                (name: "Dreamfarm-Signature", value: signature(of: delivery.body, at: seconds)),
            ],
            body: .bytes(Data(delivery.body.utf8)),
            destination: .memory(limit: 1 << 16),
            timeout: .seconds(10)
        )
        do {
            let response = try await client.send(request, retry: .never)
            return response.isSuccess ? nil : "the webhook answered \(response.status)"
        } catch let error as HTTPTransportError {
            return error.description
        }
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
