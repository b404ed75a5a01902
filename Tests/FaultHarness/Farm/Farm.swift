import FarmClient
import FarmModel
import FoundationEssentials
import Glibc
import HTTPTransport
import Postgres

/// How a farm under test is made.
struct FarmShape: Sendable {
    var workers = 6
    /// How many of the workers are real ones, with the starter model.
    var realWorkers = 0
    var lease = Duration.seconds(3)
    var heartbeat = Duration.milliseconds(500)
    /// Whether the coordinators take writes without asking for a lease; debug builds only.
    var isWithoutFence = false
    /// Whether simulated workers save a checkpoint after every step.
    var savesCheckpoints = false
}

/// A coordinator or a worker, and what it can be done to.
struct FarmPart: Sendable {
    let name: String
    let process: ManagedProcess
    let control: FaultControl
    /// The link of its requests: to the coordinators, or to PostgreSQL.
    let link: String
}

/// A farm of its own in a folder: PostgreSQL, two coordinators and workers, each connection through the proxy.
final class Farm: Sendable {
    let folder: String
    let shape: FarmShape
    let proxy: Proxy
    let database: DatabaseServer
    let coordinators: [FarmPart]
    let workers: [FarmPart]
    /// The coordinators' own addresses, past the proxy.
    let addresses: [String]
    /// Sessions past the proxy, for who looks on.
    let pool: PostgresPool
    private let installation: Installation
    let token: String
    private let liarPort: UInt16
    private let readerPort: UInt16

    /// The link of the worker that lies, and that of who follows the jobs.
    static let liarLink = "liar"
    static let readerLink = "reader"
    /// What tells simulated workers how long an image takes, in seconds.
    private var paceFile: String { "\(folder)/pace" }
    var blobs: String { "\(folder)/blobs" }

    init(_ installation: Installation, folder: String, shape: FarmShape) async throws {
        self.installation = installation
        self.folder = folder
        self.shape = shape
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        guard chmod(folder, 0o711) == 0 else { throw HarnessError("\(folder) cannot be made") }
        try await DatabaseServer.copy(installation.template, to: "\(folder)/server")
        database = try DatabaseServer(folder: "\(folder)/server", library: installation.library)
        var configuration = PostgresConfiguration(
            conninfo: database.conninfo + " application_name=fault-harness"
        )
        configuration.statementTimeout = .seconds(60)
        configuration.maxConnections = 6
        pool = PostgresPool(configuration)
        proxy = try Proxy()
        token = "fault-harness-admin-of-this-run-alone"
        let names = ["a", "b"]
        let ports = try Sockets.freePorts(names.count)
        addresses = ports.map { "http://127.0.0.1:\($0)" }
        let upstreams = zip(names, ports).map {
            NamedUpstream(name: "coordinator-\($0)", address: .port($1))
        }
        let maker = PartMaker(installation, folder, shape, proxy, token)
        let server = NamedUpstream(name: "postgres", address: .path(database.socket))
        coordinators = try zip(names, ports).map { try maker.coordinator($0, $1, to: server) }
        workers = try (1...shape.workers).map { number in
            try maker.worker(
                number,
                to: number.isMultiple(of: 2) ? upstreams.reversed() : upstreams
            )
        }
        liarPort = try proxy.addLink(Self.liarLink, isHTTP: true, to: upstreams)
        readerPort = try proxy.addLink(Self.readerLink, isHTTP: true, to: upstreams.reversed())
    }

    /// Starts everything, and returns once all workers are registered.
    func start(imageSeconds: Double) async throws {
        try setPace(imageSeconds)
        try await database.start()
        for coordinator in coordinators { try coordinator.process.start() }
        for address in addresses { try await waitUntilReady(address) }
        for worker in workers { try worker.process.start() }
        try await wait("the workers register", within: .seconds(90)) {
            let row = try await pool.query("SELECT count(DISTINCT name)::integer AS n FROM worker")
                .first
            return try row?.decode("n", as: Int.self) ?? 0 >= workers.count
        }
    }

    /// Ends everything.
    func stop() async throws {
        for part in workers + coordinators {
            part.process.signal(SIGCONT)
            part.process.signal(SIGKILL)
        }
        for part in workers + coordinators { try await part.process.waitUntilEnded() }
        await pool.close()
        database.thaw()
        try await database.stopAtOnce()
        proxy.close()
    }

    /// Sets how long simulated workers take for an image.
    func setPace(_ seconds: Double) throws {
        try Data("\(seconds)".utf8).write(to: URL(filePath: paceFile), options: .atomic)
    }

    // MARK: - Clients

    /// A client of one coordinator, past the proxy.
    func client(of coordinator: Int = 0) -> CoordinatorClient {
        CoordinatorClient(coordinator: addresses[coordinator], token: token)
    }

    /// A client through the proxy that tries each call once, and waits for answers no longer than it must.
    var liar: CoordinatorClient {
        CoordinatorClient(
            coordinator: "http://127.0.0.1:\(liarPort)",
            token: token,
            retry: .never
        )
    }

    var reader: CoordinatorClient {
        CoordinatorClient(coordinator: "http://127.0.0.1:\(readerPort)", token: token)
    }

    /// Waits until a coordinator answers.
    func waitUntilReady(_ address: String) async throws {
        try await wait("\(address) answers", within: .seconds(60)) {
            (try? await CoordinatorClient(coordinator: address, token: token, retry: .never).farm())
                != nil
        }
    }

    // MARK: - Waiting

    /// Waits until something is so.
    func wait(
        _ what: String,
        within limit: Duration,
        every pause: Duration = .milliseconds(50),
        _ isSo: () async throws -> Bool
    ) async throws {
        let deadline = ContinuousClock.now + limit
        while true {
            // A database that is away is waited for.
            if (try? await isSo()) ?? false { return }
            try Task.checkCancellation()
            guard ContinuousClock.now < deadline else {
                throw HarnessError("\(what): not within \(limit)\n\(logs)")
            }
            try await Task.sleep(for: pause)
        }
    }

    /// The ends of all logs.
    var logs: String {
        (coordinators + workers).map { "--- \($0.name)\n\($0.process.lastLines(6))" }
            .joined(separator: "\n") + "\n--- postgres\n\(database.lastLines())"
    }
}

/// Makes the parts of a farm.
private struct PartMaker {
    let installation: Installation
    let folder: String
    let shape: FarmShape
    let proxy: Proxy
    let token: String

    init(
        _ installation: Installation,
        _ folder: String,
        _ shape: FarmShape,
        _ proxy: Proxy,
        _ token: String
    ) {
        self.installation = installation
        self.folder = folder
        self.shape = shape
        self.proxy = proxy
        self.token = token
    }

    func coordinator(_ name: String, _ port: UInt16, to server: NamedUpstream) throws -> FarmPart {
        let link = "database-\(name)"
        let database = try proxy.addLink(link, isHTTP: false, to: [server])
        let name = "coordinator-\(name)"
        let conninfo =
            "host=127.0.0.1 port=\(database) user=dreamfarm dbname=dreamfarm application_name=\(name)"
        return try part(
            name,
            "dreamfarm-coordinator",
            [
                "serve", "--data-dir", dataFolder(name), "--listen", "127.0.0.1:\(port)",
                "--database-url", conninfo, "--blob-store", "\(folder)/blobs",
                "--blob-reserve", "0", "--lease", "\(shape.lease / .seconds(1))s",
                "--heartbeat", "\(shape.heartbeat / .seconds(1))s",
            ],
            disk: "\(folder)/blobs",
            link: link,
            environment: shape.isWithoutFence ? ["DREAMFARM_TEST_WITHOUT_FENCE": "1"] : [:]
        )
    }

    func worker(_ number: Int, to coordinators: [NamedUpstream]) throws -> FarmPart {
        let name = "worker-\(number)"
        let port = try proxy.addLink(name, isHTTP: true, to: coordinators)
        let common = [
            "--coordinator", "http://127.0.0.1:\(port)", "--data-dir", dataFolder(name),
            "--name", name,
        ]
        let isReal = number <= shape.realWorkers
        return try part(
            name,
            isReal ? "dreamfarm-worker" : "fault-harness",
            isReal
                ? ["run"] + common
                    + ["--model", installation.model, "--model-name", "starter", "--threads", "1"]
                : ["worker"] + common + ["--pace", "\(folder)/pace"]
                    + (shape.savesCheckpoints ? ["--saves-checkpoints"] : []),
            disk: dataFolder(name),
            link: name
        )
    }

    private func part(
        _ name: String,
        _ program: String,
        _ arguments: [String],
        disk: String,
        link: String,
        environment: [String: String] = [:]
    ) throws -> FarmPart {
        let data = dataFolder(name)
        try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
        let path = FarmSettings.tokenFile(in: data)
        try Data("\(token)\n".utf8).write(to: URL(filePath: path))
        guard chmod(path, 0o600) == 0 else { throw HarnessError("\(path) cannot be made") }
        let control = try FaultControl(path: "\(folder)/\(name).control")
        let shim = control.environment(library: installation.library, folder: disk)
        return FarmPart(
            name: name,
            process: ManagedProcess(
                name,
                "\(installation.programs)/\(program)",
                arguments,
                environment: shim.merging(environment) { $1 },
                folder: folder
            ),
            control: control,
            link: link
        )
    }

    private func dataFolder(_ name: String) -> String { "\(folder)/data/\(name)" }
}
