import BlobStore
import Dispatch
import FarmClient
import FarmCoordinator
import FarmModel
import FarmStore
import Foundation
import Hummingbird
import HummingbirdTesting
import Imaging
import Logging
import TestSupport
import Testing

/// A coordinator in this process with a database of its own, commands that talk to it, and workers that do
/// as the test says.
struct CommandFarm: Sendable {
    static let model = RendererModel(
        name: "tiny",
        digest: "model-digest",
        precision: "float32",
        defaults: ModelDefaults(width: 64, height: 48, refRes: 64, steps: 4, guidance: 3.5)
    )
    private static let token = "a-token-for-tests"

    let client: CoordinatorClient
    /// A folder of the test's own, in which commands run.
    let folder: String

    /// Serves a farm while `body` runs.
    static func run(_ body: @escaping @Sendable (CommandFarm) async throws -> Void) async throws {
        var configuration = FarmStoreConfiguration()
        configuration.backoff = .milliseconds(10)
        let store = FarmStore(pool: try TestDatabase.pool(), configuration: configuration)
        _ = try await store.migrate()
        let folder = FileManager.default.temporaryDirectory.path + "/farm-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let quiet = logger
        var settings = CoordinatorAPISettings()
        settings.blobReserve = 0
        settings.timing.poll = .milliseconds(10)
        let api = CoordinatorAPI(
            store: store,
            blobs: try FolderBlobStore(folder: folder + "/blobs"),
            admin: token,
            settings: settings
        )
        let application = Application(
            router: api.router(policy: AccessPolicy(listeningOn: "127.0.0.1")),
            server: CoordinatorAPI.server(),
            configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0)),
            services: [
                ExpiryDuty.service(store, every: .milliseconds(50), logger: quiet),
                WakeDuty.service(store, every: .milliseconds(50), logger: quiet),
            ],
            logger: quiet
        )
        try await application.test(.live) { server in
            let client = CoordinatorClient(
                coordinator: "http://127.0.0.1:\(server.port ?? 0)",
                token: token
            )
            try await body(CommandFarm(client: client, folder: folder))
            api.stop()
        }
    }

    // MARK: - Commands

    /// Runs a command of this farm.
    func run(
        _ arguments: [String],
        terminal: PseudoTerminal? = nil,
        environment: [String: String] = [:]
    ) async throws -> CommandRun {
        try await Self.run(
            arguments,
            in: folder,
            terminal: terminal,
            environment: [
                "DREAMFARM_COORDINATOR": client.coordinator, "DREAMFARM_TOKEN": Self.token,
                "TERM": "xterm-kitty",
            ].merging(environment) { $1 }
        )
    }

    /// Runs a command beside the tests' own tasks, whose threads are few.
    static func run(
        _ arguments: [String],
        in folder: String,
        terminal: PseudoTerminal? = nil,
        environment: [String: String]
    ) async throws -> CommandRun {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async {
                continuation.resume(
                    with: Result {
                        try CommandRun.run(
                            arguments,
                            inFolder: folder,
                            terminal: terminal,
                            environment: environment
                        )
                    }
                )
            }
        }
    }

    /// Runs a command of this farm that has to succeed, and returns what it prints.
    func lines(_ arguments: String...) async throws -> [String] {
        let run = try await run(arguments)
        #expect(run.status == 0, "\(arguments): \(run.lines)")
        #expect(run.lines == [])
        return run.outputLines
    }

    // MARK: - Jobs and workers

    func submit(_ text: String, key: String? = nil) async throws -> JobView {
        let answer = try await client.submit(
            JobSpecification(parsing: text),
            key: key.flatMap(JobKey.init(rawValue:))
        )
        return try await client.job(answer.id.description)
    }

    /// A worker of a name; the same process again where it was registered before.
    func worker(_ name: String, group: GroupOffer? = nil) async throws -> CommandWorker {
        var request = RegistrationRequest(name: name, instance: "\(name)-1", model: Self.model)
        request.speed = 1e12
        request.group = group
        let answer = try await client.register(request)
        return CommandWorker(client: client, id: answer.id, epoch: answer.epoch)
    }

    /// The bytes of a picture that depends on a number.
    static func picture(_ number: Int) throws -> Data {
        let level = UInt8(truncatingIfNeeded: 40 + number)
        return Data(try PNGEncoder.encode(PixelImage(width: 8, height: 6, level: level)))
    }
}

/// A worker that does what a test says.
struct CommandWorker: Sendable {
    let client: CoordinatorClient
    let id: WorkerID
    let epoch: Int64

    /// Claims the next task.
    func claim() async throws -> TaskAssignment {
        let answer = try await client.claim(id, ClaimRequest(epoch: epoch, waitSeconds: 60))
        return try #require(answer.tasks.first, "\(answer.reason?.rawValue ?? "")")
    }

    /// Says how far it is with the first image of a task, and logs a line.
    func beat(_ task: TaskAssignment, step: Int, saying text: String) async throws {
        let image = try #require(task.images.first)
        var request = HeartbeatRequest(epoch: epoch, state: .busy)
        request.running = [
            AttemptProgress(
                fence: task.fence,
                phase: .denoising,
                image: image.index,
                step: step,
                steps: 4,
                stepSeconds: 1.25,
                report: AttemptReport(stepsComputed: step, seconds: 2.5)
            )
        ]
        request.log = [
            LogLine(
                attempt: task.fence.attempt,
                number: 0,
                at: Date(),
                level: .info,
                text: text
            )
        ]
        _ = try await client.heartbeat(id, request)
    }

    /// Says that it is free.
    func rest() async throws {
        _ = try await client.heartbeat(id, HeartbeatRequest(epoch: epoch))
    }

    func fail(_ task: TaskAssignment, _ failure: FailureClass, _ message: String) async throws {
        try await client.fail(
            FailureRequest(fence: task.fence, failureClass: failure, message: message)
        )
    }

    /// Delivers every image of a task, and so ends it.
    func deliver(_ task: TaskAssignment) async throws {
        for image in task.images {
            _ = try await client.deliver(
                CommandFarm.picture(image.index),
                DeliveryRequest(
                    fence: task.fence,
                    imageIndex: image.index,
                    isFinal: image.index == task.images.last?.index,
                    report: AttemptReport(stepsComputed: 4, seconds: 5)
                )
            )
        }
    }
}
