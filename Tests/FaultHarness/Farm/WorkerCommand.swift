import ArgumentParser
import FarmClient
import FarmModel
import FarmWorker
import FoundationEssentials
import HTTPTransport
import Logging

/// A simulated worker as a process of its own: `fault-harness worker`.
struct WorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker",
        abstract: "Run a simulated worker.",
        shouldDisplay: false
    )

    @Option var coordinator: String
    @Option var dataDir: String
    @Option var name: String

    @Option(help: "A file that says how many seconds an image takes.")
    var pace: String

    @Flag(help: "Save a checkpoint after every step.")
    var savesCheckpoints = false

    func run() async throws {
        let client = CoordinatorClient(
            coordinator: coordinator,
            token: try CoordinatorClient.localToken(in: dataDir),
            transport: HTTPClient(connectTimeout: .seconds(2)),
            retry: RetryPolicy(
                attempts: 3,
                firstDelay: .milliseconds(50),
                largestDelay: .milliseconds(200)
            )
        )
        var renderer = SimulatedRenderer.Configuration(model: SimulatedModel.model) { [pace] _ in
            let text = FileManager.default.contents(atPath: pace) ?? Data()
            return Double(String(decoding: text, as: UTF8.self)) ?? 0.5
        }
        renderer.speed = 1e12
        var configuration = WorkerConfiguration(
            name: name,
            dataFolder: dataDir,
            instance: try await WorkerInstance.take(name, in: dataDir)
        )
        configuration.memory = 16 << 30
        configuration.claimWait = .seconds(2)
        configuration.backoff = .milliseconds(100)
        configuration.largestBackoff = .seconds(1)
        if savesCheckpoints {
            configuration.checkpoints = CheckpointSchedule(leastInterval: 0, costFactor: 0)
        }
        let worker = SimulatedWorker(
            calls: client,
            renderer: renderer,
            configuration: configuration,
            logger: Logger(label: name)
        )
        _ = try await worker.run()
    }
}

/// The model that simulated workers say they have.
enum SimulatedModel {
    static let model = RendererModel(
        name: "simulated",
        digest: BlobDigest(ofText: "simulated").rawValue,
        precision: "float32",
        defaults: ModelDefaults(width: 128, height: 128, refRes: 128, steps: 4, guidance: 3.5),
        numericClass: "simulated"
    )

    /// The picture of settings, which every simulated worker makes alike.
    static func picture(of settings: RenderSettings, index: Int) throws -> Data {
        // It does not depend on the image's id.
        let image = ImageAssignment(id: .random(), index: index, settings: settings)
        return try SimulatedRenderer.picture(of: image, model: model)
    }
}
