import FarmClient
import FarmModel
import FoundationEssentials
import Postgres
import Synchronization

/// Keeps the farm supplied with jobs, so that no fault meets a farm with nothing to do, and follows each of them.
final class Supply: Sendable {
    private struct State {
        var readers: [EventReader] = []
        var isOpen = true
    }

    private let farm: Farm
    private let images: Int
    private let state = Mutex(State())

    /// The job of so many images comes first; more follow when its tasks run out.
    init(farm: Farm, images: Int) {
        self.farm = farm
        self.images = images
    }

    /// Who follows the jobs.
    var readers: [EventReader] { state.withLock { $0.readers } }

    /// No more jobs from now on.
    func close() { state.withLock { $0.isOpen = false } }

    /// Submits and follows jobs until it is cancelled.
    func run() async throws {
        await withDiscardingTaskGroup { group in
            var number = 0
            while !Task.isCancelled {
                if let job = try? await next(number) {
                    number += 1
                    let reader = EventReader(job: job)
                    state.withLock { $0.readers.append(reader) }
                    group.addTask { [farm] in await reader.run(farm) }
                }
                try? await Task.sleep(for: .milliseconds(200))
            }
        }
    }

    /// The next job where one is wanted.
    private func next(_ number: Int) async throws -> JobID? {
        guard state.withLock({ $0.isOpen }) else { return nil }
        if number == 0 { return try await submit("first", "1-\(images)", "simulated", chunk: 1) }
        if number == 1, farm.shape.realWorkers > 0 {
            return try await submit("real", "1-\(RealPictures.count)", "starter", chunk: 2)
        }
        let waiting = try await farm.pool.query(
            "SELECT count(*)::integer AS n FROM ready JOIN job ON job.id = job_id WHERE model_name = 'simulated'"
        ).first
        guard try waiting?.decode("n", as: Int.self) ?? 0 < farm.workers.count else {
            return nil
        }
        return try await submit("more-\(number)", "1-24", "simulated", chunk: 1 + number % 3)
    }

    /// Submits a job under a key, so that one whose answer is lost is not there twice.
    private func submit(
        _ name: String,
        _ seeds: String,
        _ model: String,
        chunk: Int
    ) async throws -> JobID {
        let specification = try JobSpecification(
            parsing: """
                name: \(name)
                model: \(model)
                parameters: {prompt: "\(model == "starter" ? RealPictures.prompt : name)", seed: \(seeds)}
                render: {steps: \(RealPictures.steps)}
                chunk: {count: \(chunk)}
                limits: {max_attempts: 50, max_failures: 100000}
                """
        )
        return try await farm.reader.submit(specification, key: JobKey(rawValue: name)).id
    }
}

/// What real workers render, and what `dreamfarm render` makes of the same.
enum RealPictures {
    static let prompt = "a toy on a beach"
    static let steps = 4
    static let count = 12

    /// The digests of the pictures by their seeds.
    static func digests(_ installation: Installation) async throws -> [Int64: BlobDigest] {
        let folder = "\(installation.work)/render"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        _ = try await ManagedProcess.run(
            "render",
            "\(installation.programs)/dreamfarm",
            [
                "render", "--model", installation.model, "--prompt", prompt, "--seed", "1",
                "--count", "\(count)", "--steps", "\(steps)", "--threads", "1",
                "--output", "\(folder)/s.png",
            ],
            folder: installation.work
        )
        var digests: [Int64: BlobDigest] = [:]
        for seed in 1...count {
            guard let bytes = FileManager.default.contents(atPath: "\(folder)/s-s\(seed).png")
            else {
                throw HarnessError("dreamfarm render made no \(folder)/s-s\(seed).png")
            }
            digests[Int64(seed)] = BlobDigest(of: bytes)
        }
        return digests
    }
}
