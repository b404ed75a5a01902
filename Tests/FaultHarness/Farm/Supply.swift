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
        if number == 0 { return try await submit("first", "1-\(images)", isReal: false, chunk: 1) }
        if farm.shape.realWorkers > 0,
            try await isWanted("starter", workers: farm.shape.realWorkers)
        {
            return try await submit(
                "real-\(number)",
                "1-\(RealPictures.count)",
                isReal: true,
                chunk: 2
            )
        }
        guard try await isWanted("simulated", workers: farm.workers.count) else { return nil }
        return try await submit("more-\(number)", "1-24", isReal: false, chunk: 1 + number % 3)
    }

    /// Whether so many workers may run out of tasks of a model.
    ///
    /// A worker that failed in a job too often gets no more of it: each has to find two.
    private func isWanted(_ model: String, workers: Int) async throws -> Bool {
        let row = try await farm.pool.query(
            """
            SELECT count(*)::integer AS tasks, count(DISTINCT job_id)::integer AS jobs
            FROM ready JOIN job ON job.id = job_id WHERE model_name = \(model)
            """
        ).first
        guard let row else { return false }
        return try row.decode("tasks", as: Int.self) < workers
            || row.decode("jobs", as: Int.self) < 2
    }

    /// Submits a job under a key, so that one whose answer is lost is not there twice.
    private func submit(
        _ name: String,
        _ seeds: String,
        isReal: Bool,
        chunk: Int
    ) async throws -> JobID {
        let specification = try JobSpecification(
            parsing: """
                name: \(name)
                model: \(isReal ? "starter" : "simulated")
                parameters: {prompt: "\(isReal ? RealPictures.prompt : name)", seed: \(seeds)}
                render: {steps: \(isReal ? RealPictures.steps : 4)}
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
    static let steps = 256
    static let count = 8

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
