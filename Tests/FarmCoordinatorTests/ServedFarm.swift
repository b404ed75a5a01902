import FarmModel
import FarmStore
import FoundationEssentials
import HTTPTransport
import Logging
import Postgres
import TestSupport
import Testing

@testable import FarmCoordinator

/// A whole coordinator, duties and notices too, on a database server of its own.
struct ServedFarm: Sendable {
    let log: LogRecorder
    private let address: String
    let token: String
    private let client: HTTPClient

    /// Serves while `body` runs, over TLS where there are files for it, and returns what was logged.
    @discardableResult
    static func run(
        tls: TLSFiles? = nil,
        _ body: @escaping @Sendable (ServedFarm, PostgresCluster) async throws -> Void
    ) async throws -> LogRecorder {
        let log = LogRecorder()
        try await withCluster(isDurable: true) { cluster in
            let folder = FileManager.default.temporaryDirectory.path + "/served-\(UUID())"
            try FileManager.default.createDirectory(
                atPath: folder,
                withIntermediateDirectories: true
            )
            defer { try? FileManager.default.removeItem(atPath: folder) }
            var connection = cluster.connection
            // What finds no server is told soon.
            connection.waitTimeout = .seconds(1)
            connection.maxConnections = 20
            let pool = PostgresPool(connection)
            var configuration = CoordinatorConfiguration(
                dataDirectory: folder,
                listen: try #require(ListenAddress("127.0.0.1:0")),
                databaseURL: connection.conninfo,
                timing: LeaseTiming(lease: .seconds(1800), poll: .milliseconds(100)),
                allowsInsecureListen: false
            )
            configuration.blobReserve = 0
            configuration.tls = tls
            var settings = FarmStoreConfiguration()
            settings.lease = configuration.timing.lease
            settings.workerTimeout = configuration.timing.lease * 2
            let database = OpenDatabase(
                store: FarmStore(pool: pool, configuration: settings),
                configuration: connection,
                cluster: nil
            )
            let coordinator = Coordinator(configuration, logger: log.logger())
            // Whichever ends first ends the other; the coordinator does so only when it fails.
            try await withThrowingTaskGroup(of: Bool.self) { group in
                group.addTask {
                    do {
                        try await coordinator.serve(database)
                    } catch is CancellationError {
                        // The end that the test asks for.
                    }
                    return false
                }
                group.addTask {
                    let address = try await address(from: log)
                    let token = try SecretFile.token(in: folder)
                    let farm = ServedFarm(log: log, address: address, token: token)
                    try await body(farm, cluster)
                    return true
                }
                #expect(try await group.next() == true, "the coordinator has ended")
                group.cancelAll()
                try await group.waitForAll()
            }
            await pool.close()
        }
        return log
    }

    private init(
        log: LogRecorder,
        address: String,
        token: String,
        client: HTTPClient = HTTPClient()
    ) {
        self.log = log
        self.address = address
        self.token = token
        self.client = client
    }

    /// The same coordinator, called by a client that believes and shows something else.
    func trusting(_ tls: HTTPClientTLS) -> ServedFarm {
        ServedFarm(log: log, address: address, token: token, client: HTTPClient(tls: tls))
    }

    /// Where it serves, as soon as it does; the suite's time limit bounds the wait.
    private static func address(from log: LogRecorder) async throws -> String {
        try await log.wait { lines in lines.contains { $0.message == "Serving" } }
        let serving = log.lines.first { $0.message == "Serving" }
        return try #require(serving?.metadata["address"]).description
    }

    // MARK: - Calls

    private func request(
        _ method: String,
        _ path: String,
        _ body: HTTPBody,
        _ token: String?
    ) -> HTTPRequest {
        HTTPRequest(
            method: method,
            url: address + path,
            headers: [
                (name: "Authorization", value: "Bearer \(token ?? self.token)"),
                (name: "Content-Type", value: "application/json"),
            ],
            body: body,
            timeout: nil
        )
    }

    /// Sends a request once.
    func send(
        _ method: String,
        _ path: String,
        _ message: (some Encodable)? = String?.none,
        body: HTTPBody = .none,
        token: String? = nil
    ) async throws -> HTTPResponse {
        let body = try message.map { .bytes(try FarmJSON.encode($0)) } ?? body
        return try await client.send(request(method, path, body, token), retry: .never)
    }

    /// Sends a request again and again until it is answered; the suite's time limit bounds it.
    func retried(
        _ method: String,
        _ path: String,
        _ message: (some Encodable)? = String?.none,
        body: HTTPBody = .none
    ) async throws -> HTTPResponse {
        while true {
            let answer = try await send(method, path, message, body: body)
            if answer.status != 503 { return answer }
        }
    }

    /// Sends a message, and reads the answer.
    func call<Answer: Decodable>(
        _ method: String,
        _ path: String,
        _ message: (some Encodable)? = String?.none,
        as type: Answer.Type = Answer.self
    ) async throws -> Answer {
        let answer = try await send(method, path, message)
        let text = String(decoding: answer.body, as: UTF8.self)
        #expect((200..<300).contains(answer.status), "\(text)")
        return try FarmJSON.decode(type, from: answer.body)
    }

    /// Opens a stream of events.
    func open(_ path: String) async throws -> HTTPByteStream {
        let response = try await client.open(request("GET", path, .none, nil), retry: .never)
        #expect(response.headers["content-type"] == "text/event-stream")
        return response.body
    }
}

/// Reads the text of event streams.
enum EventText {
    /// The stored events of a stream until one of a kind.
    static func read(_ stream: HTTPByteStream, until last: String) async throws -> [EventView] {
        var text = ""
        for try await chunk in stream {
            text += String(decoding: chunk, as: UTF8.self)
            if text.contains("event: \(last)\n"), text.hasSuffix("\n\n") { break }
        }
        return try text.split(separator: "\n\n").compactMap { frame in
            guard frame.contains("id: "), let data = frame.split(separator: "\n").last else {
                return nil
            }
            return try FarmJSON.decode(EventView.self, from: String(data.dropFirst(6)))
        }
    }
}
