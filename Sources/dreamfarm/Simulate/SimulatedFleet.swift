import FarmClient
import FarmModel
import FarmWorker
import Logging

/// Simulated workers of one process, which share a client and its connections.
struct SimulatedFleet: Sendable {
    let client: CoordinatorClient
    /// Where each worker has its folder.
    let folder: String
    let imageSeconds: Double
    /// How many of a thousand images end with the worker gone, and how many fail.
    let crashes: Int
    let failures: Int
    /// How many workers, the first ones, deliver other pictures than were asked for.
    let liars: Int
    let seed: UInt64

    private static let model = RendererModel(
        name: "simulated",
        digest: BlobDigest(ofText: "simulated").rawValue,
        precision: "float32",
        defaults: ModelDefaults(width: 128, height: 128, refRes: 128, steps: 4, guidance: 3.5),
        numericClass: "simulated"
    )

    /// The name of a worker.
    static func name(_ number: Int) -> String { "worker-\(number)" }

    /// The name that a worker began with: what takes the place of one that crashed may get another.
    static func first(_ name: String) -> String {
        name.split(separator: "-").prefix(2).joined(separator: "-")
    }

    /// One worker, and the ones that take its place when it crashes.
    func work(_ number: Int) async throws {
        var logger = Logger(label: Self.name(number))
        logger.logLevel = .critical
        var renderer = SimulatedRenderer.Configuration(model: Self.model) { [imageSeconds] _ in
            imageSeconds
        }
        renderer.speed = 1e12
        renderer.tick = 1
        var generation: UInt64 = 0
        while !Task.isCancelled {
            let seed = self.seed &+ UInt64(number) &* 7919 &+ generation &* 104_729
            renderer.fate = { [self] image, before in
                let fate = fate(of: image, before, seed)
                // Each has a lie of its own: they do not work together.
                if case .finishes = fate, number < liars { return .lies(Int64(number) + 1) }
                return fate
            }
            var configuration = WorkerConfiguration(
                name: Self.name(number),
                dataFolder: "\(folder)/workers/\(number)"
            )
            configuration.pool = number.isMultiple(of: 2) ? "even" : "odd"
            configuration.tags = ["tag-\(number % 4)"]
            configuration.memory = 16 << 30
            let worker = SimulatedWorker(
                calls: client,
                renderer: renderer,
                configuration: configuration,
                logger: logger
            )
            if case .drained = try await worker.run() { return }
            generation += 1
        }
    }

    /// What becomes of an image here: drawn from the seed, the image and how often it was begun.
    private func fate(
        of image: ImageAssignment,
        _ before: Int,
        _ seed: UInt64
    ) -> SimulatedFate {
        var hash = seed
        for word in [
            UInt64(image.index), UInt64(before), UInt64(bitPattern: image.settings.seed),
        ] {
            hash = (hash ^ word) &* 0x9e37_79b9_7f4a_7c15
            hash ^= hash >> 29
        }
        let draw = Int(hash % 1000)
        if draw < crashes { return .crashes }
        if draw < crashes + failures {
            return .fails(RenderFailure(.transient, "the simulation made it fail"))
        }
        return .finishes
    }
}
