import FoundationEssentials
import HTTPTransport
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Synchronization
import Testing

@Suite struct HTTPClientTests {
    /// Serves `router` on a port of its own and lends its address.
    private func serve(
        _ router: Router<BasicRequestContext>,
        _ body: @escaping @Sendable (String) async throws -> Void
    ) async throws {
        try await Application(
            router: router,
            configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0))
        ).test(.live) { client in
            try await body("http://127.0.0.1:\(client.port ?? 0)")
        }
    }

    private func temporaryPath() -> String {
        FileManager.default.temporaryDirectory.path + "/transport-\(UUID().uuidString)"
    }

    private static let quick = RetryPolicy(
        attempts: 4,
        firstDelay: .milliseconds(1),
        largestDelay: .milliseconds(2)
    )

    @Test(
        "a body goes out and comes back, from memory and from files",
        arguments: [0, 5, 3_000_000]
    )
    func echo(count: Int) async throws {
        let router = Router()
        router.put("echo") { request, _ in
            let buffer = try await request.body.collect(upTo: 1 << 23)
            return Response(status: .ok, headers: [.eTag: "x"], body: .init(byteBuffer: buffer))
        }
        let data = Data((0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) })
        let source = temporaryPath()
        let target = temporaryPath()
        defer {
            try? FileManager.default.removeItem(atPath: source)
            try? FileManager.default.removeItem(atPath: target)
        }
        #expect(FileManager.default.createFile(atPath: source, contents: data))
        try await serve(router) { address in
            let transport = HTTPClient()
            let url = address + "/echo"
            let inMemory = try await transport.send(
                HTTPTransport.HTTPRequest(method: "PUT", url: url, body: .bytes(data))
            )
            #expect(inMemory.status == 200)
            #expect(inMemory.headers["etag"] == "x")
            #expect(inMemory.body == data)
            let onDisk = try await transport.send(
                HTTPTransport.HTTPRequest(
                    method: "PUT",
                    url: url,
                    body: .file(source),
                    destination: .file(target)
                )
            )
            #expect(onDisk.body.isEmpty)
            #expect(FileManager.default.contents(atPath: target) == data)
        }
    }

    @Test("503 is tried again where that is safe, and only there", arguments: ["GET", "POST"])
    func unavailable(method: String) async throws {
        let tries = Mutex(0)
        let router = Router()
        let answer: @Sendable () -> HTTPTypes.HTTPResponse.Status = {
            tries.withLock { count in
                count += 1
                return count < 3 ? .serviceUnavailable : .ok
            }
        }
        router.get("flaky") { _, _ in answer() }
        router.post("flaky") { _, _ in answer() }
        try await serve(router) { address in
            let response = try await HTTPClient().send(
                HTTPTransport.HTTPRequest(method: method, url: address + "/flaky"),
                retry: Self.quick
            )
            #expect(response.status == (method == "GET" ? 200 : 503))
        }
        #expect(tries.withLock { $0 } == (method == "GET" ? 3 : 1))
    }

    @Test("an address where nobody listens cannot be reached")
    func nobody() async throws {
        let error = await #expect(throws: HTTPTransportError.self) {
            try await HTTPClient().send(
                HTTPTransport.HTTPRequest(method: "GET", url: "http://127.0.0.1:1/x"),
                retry: Self.quick
            )
        }
        guard case .cannotConnect = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(error?.isUnreachable == true)
    }

    @Test("only http addresses are asked", arguments: ["file:///etc/passwd", "localhost", ""])
    func scheme(url: String) async throws {
        await #expect(throws: HTTPTransportError.invalidURL(url)) {
            try await HTTPClient().send(HTTPTransport.HTTPRequest(method: "GET", url: url))
        }
    }

    @Test("an answer longer than the limit is refused")
    func limit() async throws {
        let router = Router()
        router.get("long") { _, _ in String(repeating: "x", count: 1000) }
        try await serve(router) { address in
            let url = address + "/long"
            await #expect(throws: HTTPTransportError.bodyTooLarge(url: url, limit: 999)) {
                try await HTTPClient().send(
                    HTTPTransport.HTTPRequest(
                        method: "GET",
                        url: url,
                        destination: .memory(limit: 999)
                    )
                )
            }
        }
    }

    @Test("a server that is silent runs into the time-out", .timeLimit(.minutes(1)))
    func timeout() async throws {
        let (gate, opener) = AsyncStream.makeStream(of: Void.self)
        let router = Router()
        router.get("slow") { _, _ in
            for await _ in gate {}
            return "late"
        }
        try await serve(router) { address in
            defer { opener.finish() }
            let url = address + "/slow"
            await #expect(throws: HTTPTransportError.timedOut(url: url)) {
                try await HTTPClient().send(
                    HTTPTransport.HTTPRequest(method: "GET", url: url, timeout: .milliseconds(50)),
                    retry: .never
                )
            }
        }
    }

    @Test("cancelling the task ends the exchange", .timeLimit(.minutes(1)))
    func cancellation() async throws {
        let (arrivals, arrived) = AsyncStream.makeStream(of: Void.self)
        let (gate, opener) = AsyncStream.makeStream(of: Void.self)
        let router = Router()
        router.get("slow") { _, _ in
            arrived.yield()
            for await _ in gate {}
            return "late"
        }
        try await serve(router) { address in
            defer { opener.finish() }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    await #expect(throws: CancellationError.self) {
                        try await HTTPClient().send(
                            HTTPTransport.HTTPRequest(method: "GET", url: address + "/slow")
                        )
                    }
                }
                var iterator = arrivals.makeAsyncIterator()
                await iterator.next()
                group.cancelAll()
                try await group.waitForAll()
            }
        }
    }

    @Test(
        "a task that is cancelled before it sends throws, and sends nothing",
        .timeLimit(.minutes(1)),
        arguments: [true, false]
    )
    func cancelledBefore(isStreamed: Bool) async throws {
        let arrivals = Mutex(0)
        let router = Router()
        router.get("any") { _, _ in
            arrivals.withLock { $0 += 1 }
            return "here"
        }
        try await serve(router) { address in
            let client = HTTPClient()
            let request = HTTPTransport.HTTPRequest(method: "GET", url: address + "/any")
            await withTaskGroup(of: Void.self) { group in
                group.cancelAll()
                group.addTask {
                    await #expect(throws: CancellationError.self) {
                        if isStreamed {
                            _ = try await client.open(request)
                        } else {
                            _ = try await client.send(request)
                        }
                    }
                }
            }
            let after = try await client.send(request)
            #expect(after.status == 200)
        }
        #expect(arrivals.withLock { $0 } == 1)
    }

    @Test("the wait between tries doubles up to its limit and varies")
    func delays() {
        let policy = RetryPolicy(
            attempts: 9,
            firstDelay: .milliseconds(100),
            largestDelay: .milliseconds(350)
        )
        for (attempt, limit) in [(1, 100), (2, 200), (3, 350), (60, 350)] {
            let delay = policy.delay(after: attempt)
            #expect(delay <= .milliseconds(limit))
            #expect(delay >= .milliseconds(limit) / 2)
        }
    }
}
