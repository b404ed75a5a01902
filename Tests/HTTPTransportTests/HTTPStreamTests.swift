import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore
import Synchronization
import Testing

@testable import HTTPTransport

@Suite(.timeLimit(.minutes(2))) struct HTTPStreamTests {
    private static let quick = RetryPolicy(
        attempts: 4,
        firstDelay: .milliseconds(1),
        largestDelay: .milliseconds(2)
    )

    private static let data = Data(
        (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7 ^ $0 >> 9) }
    )

    private func get(_ url: String) -> HTTPTransport.HTTPRequest {
        HTTPTransport.HTTPRequest(method: "GET", url: url)
    }

    /// The bytes in pieces.
    @Sendable private static func chunks() -> AsyncThrowingStream<Data, any Error> {
        AsyncThrowingStream { continuation in
            for start in stride(from: 0, to: data.count, by: 100_003) {
                continuation.yield(data[start..<min(start + 100_003, data.count)])
            }
            continuation.yield(Data())
            continuation.finish()
        }
    }

    // MARK: - Down

    @Test("an answer's headers come before its body, which comes whole")
    func download() async throws {
        let router = Router(context: ConnectionContext.self)
        router.get("data") { _, _ in
            Response(status: .ok, body: ResponseBody(byteBuffer: ByteBuffer(bytes: Self.data)))
        }
        try await serve(router) { address in
            let client = HTTPClient()
            let response = try await client.open(get(address + "/data"))
            #expect(response.status == 200)
            #expect(response.headers["content-length"] == "3000000")
            #expect(try await response.body.collect(upTo: .max) == Self.data)
            let missing = try await client.open(get(address + "/nothing"))
            #expect(missing.status == 404)
            _ = try await missing.body.collect(upTo: 10)
        }
    }

    @Test("a stream that is dropped ends its exchange, and one that is cancelled throws")
    func dropped() async throws {
        let (ends, ended) = AsyncStream.makeStream(of: Void.self)
        let router = Router(context: ConnectionContext.self)
        router.get("endless") { _, _ in
            Response(
                status: .ok,
                body: ResponseBody { writer in
                    defer { ended.yield() }
                    while true { try await writer.write(ByteBuffer(repeating: 1, count: 50_000)) }
                }
            )
        }
        try await serve(router) { address in
            let client = HTTPClient()
            var endings = ends.makeAsyncIterator()
            do {
                let response = try await client.open(get(address + "/endless"))
                var iterator = response.body.makeAsyncIterator()
                #expect(try await iterator.next()?.isEmpty == false)
            }
            await endings.next()
            try await withThrowingTaskGroup(of: Void.self) { group in
                let (reads, read) = AsyncStream.makeStream(of: Void.self)
                group.addTask {
                    await #expect(throws: CancellationError.self) {
                        for try await _ in try await client.open(get(address + "/endless")).body {
                            read.yield()
                        }
                    }
                }
                var iterator = reads.makeAsyncIterator()
                await iterator.next()
                group.cancelAll()
                try await group.waitForAll()
            }
            await endings.next()
        }
    }

    @Test("a body that breaks off throws after what came")
    func broken() async throws {
        struct Broken: Error {}
        let router = Router(context: ConnectionContext.self)
        router.get("broken") { _, _ in
            Response(
                status: .ok,
                body: ResponseBody(contentLength: 100) { writer in
                    try await writer.write(ByteBuffer(repeating: 1, count: 50))
                    throw Broken()
                }
            )
        }
        try await serve(router) { address in
            let response = try await HTTPClient().open(get(address + "/broken"))
            var count = 0
            let error = await #expect(throws: HTTPTransportError.self) {
                for try await chunk in response.body { count += chunk.count }
            }
            #expect(count == 50)
            #expect(error?.isUnreachable == true)
        }
    }

    @Test("503 is tried again before a stream begins")
    func retried() async throws {
        let tries = Mutex(0)
        let router = Router(context: ConnectionContext.self)
        router.get("flaky") { _, _ in
            let count = tries.withLock { count in
                count += 1
                return count
            }
            return Response(
                status: count < 3 ? .serviceUnavailable : .ok,
                body: ResponseBody(byteBuffer: ByteBuffer(string: "try \(count)"))
            )
        }
        try await serve(router) { address in
            let response = try await HTTPClient().open(
                get(address + "/flaky"),
                retry: Self.quick
            )
            #expect(try await response.body.collect(upTo: 100) == Data("try 3".utf8))
        }
    }

    @Test("what waits to be read is bounded, and reading makes room")
    func backPressure() async throws {
        let channel = ReceivingChannel()
        let chunk = [UInt8](repeating: 1, count: 16_384)
        var count = 0
        while chunk.withUnsafeBytes({ channel.offer($0) }) { count += chunk.count }
        #expect(count == 1 << 20)
        var resumed = 0
        #expect(try await channel.next { resumed += 1 }?.count == count)
        #expect(resumed == 1)
        #expect(chunk.withUnsafeBytes { channel.offer($0) })
        #expect(try await channel.next { resumed += 1 }?.count == chunk.count)
        #expect(resumed == 1)
        channel.finish(.success(()))
        #expect(try await channel.next {} == nil)
    }

    // MARK: - Up

    @Test("a stream goes out as it comes, anew for each try", arguments: [nil, 3_000_000])
    func upload(length: Int64?) async throws {
        let tries = Mutex(0)
        let made = Mutex(0)
        let router = Router(context: ConnectionContext.self)
        router.put("echo") { request, _ in
            let buffer = try await request.body.collect(upTo: 1 << 23)
            let isFirst = tries.withLock { count in
                count += 1
                return count == 1
            }
            return Response(
                status: isFirst ? .serviceUnavailable : .ok,
                headers: [.eTag: request.headers[.transferEncoding] ?? "plain"],
                body: .init(byteBuffer: buffer)
            )
        }
        try await serve(router) { address in
            let response = try await HTTPClient().send(
                HTTPTransport.HTTPRequest(
                    method: "PUT",
                    url: address + "/echo",
                    body: .stream(length: length) {
                        made.withLock { $0 += 1 }
                        return Self.chunks()
                    }
                ),
                retry: Self.quick
            )
            #expect(response.status == 200)
            #expect(response.body == Self.data)
            #expect(response.headers["etag"] == (length == nil ? "chunked" : "plain"))
        }
        #expect(made.withLock { $0 } == 2)
    }

    @Test("what a stream throws is thrown")
    func brokenUpload() async throws {
        struct Broken: Error {}
        let router = Router(context: ConnectionContext.self)
        router.put("sink") { request, _ in
            _ = try await request.body.collect(upTo: 1 << 23)
            return HTTPTypes.HTTPResponse.Status.ok
        }
        try await serve(router) { address in
            let request = HTTPTransport.HTTPRequest(
                method: "PUT",
                url: address + "/sink",
                body: .stream(length: nil) {
                    AsyncThrowingStream { continuation in
                        continuation.yield(Data(count: 1000))
                        continuation.finish(throwing: Broken())
                    }
                }
            )
            await #expect(throws: Broken.self) { try await HTTPClient().send(request) }
        }
    }

    // MARK: - Files

    @Test("a file goes on where it ends, and begins anew where the server sends the whole")
    func resumed() async throws {
        let ranges = Mutex<[String?]>([])
        let router = Router(context: ConnectionContext.self)
        router.get("part") { request, _ in
            let range = request.headers[.range]
            ranges.withLock { $0.append(range) }
            let start = range.flatMap { Int($0.dropFirst(6).dropLast()) } ?? 0
            return Response(
                status: range == nil ? .ok : .partialContent,
                headers: [.contentRange: "bytes \(start)-2999999/3000000"],
                body: ResponseBody(byteBuffer: ByteBuffer(bytes: Self.data[start...]))
            )
        }
        router.get("whole") { _, _ in
            Response(status: .ok, body: ResponseBody(byteBuffer: ByteBuffer(bytes: Self.data)))
        }
        try await serve(router) { address in
            for (path, known) in [("part", 0), ("part", 1_000_001), ("whole", 1_000_001)] {
                try await withTemporaryFile(Self.data.prefix(known)) { file in
                    var request = get("\(address)/\(path)")
                    request.destination = .resumedFile(file)
                    let response = try await HTTPClient().send(request)
                    #expect(response.isSuccess)
                    #expect(FileManager.default.contents(atPath: file) == Self.data)
                }
            }
        }
        #expect(ranges.withLock { $0 } == [nil, "bytes=1000001-"])
    }

    // MARK: - Connections

    @Test("requests one after the other share a connection, and clients have their own")
    func reuse() async throws {
        let ports = Mutex<[Int]>([])
        let router = Router(context: ConnectionContext.self)
        router.post("call") { request, context in
            _ = try await request.body.collect(upTo: 1000)
            ports.withLock { $0.append(context.callerPort) }
            return "ok"
        }
        try await serve(router) { address in
            for _ in 0..<2 {
                let client = HTTPClient()
                for _ in 0..<20 {
                    let response = try await client.send(
                        HTTPTransport.HTTPRequest(
                            method: "POST",
                            url: address + "/call",
                            body: .bytes(Data("{}".utf8))
                        )
                    )
                    #expect(response.body == Data("ok".utf8))
                }
            }
        }
        let seen = ports.withLock { $0 }
        #expect(seen.count == 40)
        #expect(Set(seen).count == 2)
    }

    @Test("many requests at once all get their own answer")
    func concurrent() async throws {
        let router = Router(context: ConnectionContext.self)
        router.post("echo") { request, _ in
            Response(
                status: .ok,
                body: ResponseBody(byteBuffer: try await request.body.collect(upTo: 1000))
            )
        }
        try await serve(router) { address in
            let client = HTTPClient()
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for index in 0..<300 {
                    group.addTask {
                        let body = Data("\(index)".utf8)
                        let response = try await client.send(
                            HTTPTransport.HTTPRequest(
                                method: "POST",
                                url: address + "/echo",
                                body: .bytes(body)
                            )
                        )
                        return response.body == body
                    }
                }
                for try await isOwn in group { #expect(isOwn) }
            }
        }
    }
}
