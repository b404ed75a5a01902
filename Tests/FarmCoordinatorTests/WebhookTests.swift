import Crypto
import FarmModel
import FarmStore
import FoundationEssentials
import Glibc
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import NIOCore
import Postgres
import Synchronization
import TestSupport
import Testing

@testable import FarmCoordinator

/// What a job's end sends to its webhook, against a server that listens.
@Suite(.database, .timeLimit(.minutes(10))) struct WebhookTests {
    /// What came to the webhook.
    private struct Message: Sendable {
        let id: String?
        let signature: String?
        let type: String?
        let body: Data
    }

    /// A webhook that refuses as often as it is told, then takes what comes.
    private final class Inbox: Sendable {
        private let state: Mutex<(refusals: [HTTPResponse.Status], messages: [Message])>

        init(refusing: [HTTPResponse.Status]) {
            state = Mutex((refusing, []))
        }

        var messages: [Message] { state.withLock { $0.messages } }

        func take(_ message: Message) -> HTTPResponse.Status {
            state.withLock { state in
                state.messages.append(message)
                return state.refusals.isEmpty ? .noContent : state.refusals.removeFirst()
            }
        }
    }

    private static let delivery = HTTPField.Name("Dreamfarm-Delivery")
    private static let signature = HTTPField.Name("Dreamfarm-Signature")

    /// Serves an inbox at an address of its own while `body` runs.
    private func serve(
        _ inbox: Inbox,
        _ body: @escaping @Sendable (String) async throws -> Void
    ) async throws {
        let router = Router()
        let names = try (#require(Self.delivery), #require(Self.signature))
        router.post("/done") { request, _ -> HTTPResponse.Status in
            let content = try await request.body.collect(upTo: 1 << 20)
            return inbox.take(
                Message(
                    id: request.headers[names.0],
                    signature: request.headers[names.1],
                    type: request.headers[.contentType],
                    body: Data(content.readableBytesView)
                )
            )
        }
        try await Application(
            router: router,
            configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0))
        ).test(.live) { client in
            try await body("http://127.0.0.1:\(try #require(client.port))/done?job=1")
        }
    }

    /// Checks a signature as a receiver does, from nothing but the secret and what came.
    private func verify(_ message: Message, secret: String, since: Date) throws {
        let signature = try #require(message.signature)
        let parts = signature.split(separator: ",").map(String.init)
        try #require(parts.count == 2 && parts[0].hasPrefix("t=") && parts[1].hasPrefix("v1="))
        let seconds = try #require(Int64(parts[0].dropFirst(2)))
        #expect(seconds >= Int64(since.timeIntervalSince1970))
        #expect(seconds <= Int64(Date().timeIntervalSince1970))
        let code = HMAC<SHA256>.authenticationCode(
            for: Data("\(seconds).".utf8) + message.body,
            using: SymmetricKey(data: Data(secret.utf8))
        )
        let hex = code.map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }
        #expect(parts[1].dropFirst(3) == hex.joined())
    }

    private func now() async throws -> Date {
        let row = try await TestDatabase.pool().query("SELECT now() AS now").first
        return try #require(row).decode("now")
    }

    @Test("a webhook that fails twice is tried again after longer and longer rests, signed anew")
    func retry() async throws {
        let inbox = Inbox(refusing: [.internalServerError, .serviceUnavailable])
        let begin = Date()
        try await serve(inbox) { url in
            try await TestFarm.withAPI { farm in
                let worker = try await farm.register().id
                let job = try await farm.submit(
                    "name: n\nparameters: {prompt: a}\non_done: {webhook: \"\(url)\"}"
                )
                let sender = WebhookSender(
                    store: farm.store,
                    secret: "a secret of the farm",
                    allowsPrivate: true
                )
                let logger = LogRecorder().logger()
                #expect(try await sender.sendDue(logger: logger) == 0)
                let task = try await farm.task(worker)
                _ = try await farm.deliver(task, 0, TestFarm.picture(), isFinal: true)
                for (number, rest) in [10.0, 30, nil].enumerated() {
                    let before = try await now()
                    #expect(try await sender.sendDue(logger: logger) == 1)
                    let after = try await now()
                    let page: Page<WebhookView> = try await farm.call(
                        .get,
                        "/v1/webhooks?job=\(job.id)"
                    )
                    let view = try #require(page.items.first)
                    #expect(view.attempts == number + 1)
                    guard let rest else {
                        #expect(view.sentAt != nil)
                        #expect(view.lastError == nil)
                        break
                    }
                    #expect(view.sentAt == nil)
                    #expect(view.lastError == "the webhook answered \(number == 0 ? 500 : 503)")
                    let due = try await TestDatabase.pool().query("SELECT due_at FROM webhook")
                    let dueAt = try #require(due.first).decode("due_at", as: Date.self)
                    #expect(dueAt >= before.addingTimeInterval(rest))
                    #expect(dueAt <= after.addingTimeInterval(rest))
                    // The rest goes by.
                    try await TestDatabase.pool().execute("UPDATE webhook SET due_at = now()")
                }
                #expect(try await sender.sendDue(logger: logger) == 0)
            }
        }
        let messages = inbox.messages
        #expect(messages.count == 3)
        for message in messages {
            try verify(message, secret: "a secret of the farm", since: begin)
            #expect(message.type == "application/json")
        }
        // A receiver that took it and failed to say so knows it by its id.
        #expect(Set(messages.map(\.id)).count == 1)
        #expect(messages.first?.id.flatMap { UUID(uuidString: $0) } != nil)
        #expect(Set(messages.map(\.body)).count == 1)
        let text = String(decoding: try #require(messages.first).body, as: UTF8.self)
        let body = try FarmJSON.decode([String: SpecificationValue].self, from: text)
        #expect(body["event"] == .string("job.succeeded"))
        #expect(Set(body.keys) == ["event", "job", "number"])
    }

    /// Submits jobs of one picture and ends each, in the order of their webhooks.
    private func endJobs(_ farm: TestFarm, tellingOf urls: [String]) async throws {
        let worker = try await farm.register().id
        for url in urls {
            _ = try await farm.submit(
                "parameters: {prompt: a}\non_done: {webhook: \"\(url)\"}"
            )
            let task = try await farm.task(worker)
            _ = try await farm.deliver(task, 0, TestFarm.picture(), isFinal: true)
        }
    }

    private func sender(_ farm: TestFarm, allowsPrivate: Bool = true) -> WebhookSender {
        WebhookSender(store: farm.store, secret: "another secret", allowsPrivate: allowsPrivate)
    }

    private func views(_ farm: TestFarm) async throws -> [WebhookView] {
        let page: Page<WebhookView> = try await farm.call(.get, "/v1/webhooks")
        return page.items
    }

    @Test("a webhook that nobody listens at is tried again, and no secret of its address is told")
    func nobody() async throws {
        try await TestFarm.withAPI { farm in
            // Port 1 of this machine is nobody's.
            let url = "http://me:sesame@127.0.0.1:1/hooks/sesame?token=sesame"
            try await endJobs(farm, tellingOf: [url])
            let log = LogRecorder()
            #expect(try await sender(farm).sendDue(logger: log.logger()) == 1)
            let view = try #require(try await views(farm).first)
            #expect(view.sentAt == nil)
            #expect(view.lastError?.hasPrefix("cannot reach http://127.0.0.1:1: ") == true)
            #expect(view.lastError?.contains("sesame") == false)
            #expect(log.count(of: "Webhook failed") == 1)
            let scrape = try await farm.scrape()
            for (outcome, count) in ["failed": 1.0, "delivered": 0, "given_up": 0] {
                let name = "dreamfarm_webhook_deliveries_total{outcome=\"\(outcome)\"}"
                #expect(scrape[name] == count, "\(name)")
            }
            #expect(!log.lines.contains { "\($0)".contains("sesame") })
        }
    }

    @Test("webhooks that accept and never answer do not hold the others up")
    func silence() async throws {
        let inbox = Inbox(refusing: [])
        let silent = try SilentServer()
        try await serve(inbox) { url in
            try await TestFarm.withAPI { farm in
                try await endJobs(
                    farm,
                    tellingOf: Array(repeating: "\(silent.address)/done", count: 5) + [url]
                )
                let sender = sender(farm)
                let sending = Task { try await sender.sendDue(logger: LogRecorder().logger()) }
                while try await !views(farm).contains(where: { $0.sentAt != nil }) {
                    await Task.yield()
                }
                let others = try await views(farm).filter { $0.sentAt == nil }
                #expect(others.count == 5)
                #expect(others.allSatisfy { $0.lastError == nil && $0.attempts == 1 })
                sending.cancel()
                _ = try? await sending.value
            }
        }
        #expect(inbox.messages.count == 1)
    }

    @Test("what a receiver answers beside its status, and how much, is nothing to the sender")
    func longAnswer() async throws {
        let router = Router()
        router.post("/done") { _, _ in
            Response(
                status: .ok,
                body: ResponseBody(byteBuffer: ByteBuffer(repeating: 0x61, count: 4 << 20))
            )
        }
        try await Application(
            router: router,
            configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0))
        ).test(.live) { client in
            let url = "http://127.0.0.1:\(try #require(client.port))/done"
            try await TestFarm.withAPI { farm in
                try await endJobs(farm, tellingOf: [url])
                #expect(try await sender(farm).sendDue(logger: LogRecorder().logger()) == 1)
                let view = try #require(try await views(farm).first)
                #expect(view.sentAt != nil && view.attempts == 1 && view.lastError == nil)
            }
        }
    }

    @Test("a webhook of an address that is not public gets nothing unless an operator allows it")
    func privateAddresses() async throws {
        let inbox = Inbox(refusing: [])
        try await serve(inbox) { url in
            try await TestFarm.withAPI { farm in
                let local = url.replacing("127.0.0.1", with: "localhost")
                // The same address as a number.
                let number = url.replacing("127.0.0.1", with: "2130706433")
                try await endJobs(farm, tellingOf: [url, local, number])
                let refusing = sender(farm, allowsPrivate: false)
                #expect(try await refusing.sendDue(logger: LogRecorder().logger()) == 3)
                for view in try await views(farm) {
                    #expect(view.sentAt == nil)
                    #expect(view.lastError?.contains("is not an address of the public") == true)
                    #expect(view.lastError?.hasSuffix("webhooks-private allows others") == true)
                }
                #expect(inbox.messages.isEmpty)
                try await TestDatabase.pool().execute("UPDATE webhook SET due_at = now()")
                #expect(try await sender(farm).sendDue(logger: LogRecorder().logger()) == 3)
            }
        }
        #expect(inbox.messages.count == 3)
    }
}

/// A port of this machine whose connections are accepted and never answered.
private final class SilentServer: Sendable {
    let address: String
    private let descriptor: Int32

    init() throws {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(AF_INET, type, 0)
        self.descriptor = descriptor
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(descriptor, address, length) | listen(descriptor, 64)
                    | getsockname(descriptor, address, &length)
            }
        }
        address = "http://127.0.0.1:\(UInt16(bigEndian: name.sin_port))"
        try #require(status == 0)
    }

    deinit { close(descriptor) }
}
