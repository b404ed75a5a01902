import ArgumentParser
import FarmModel
import FarmStore
import FoundationEssentials
import Postgres
import Synchronization

/// Cycles of claim and delivery a second on the store alone: 32 workers, 20 owners, four
/// requirements.
@main
struct QueueBenchmark: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "queue-benchmark",
        subcommands: [Fill.self, Cycles.self]
    )

    /// What every command needs.
    struct Options: ParsableArguments {
        @Option(help: "The database, as a libpq connection string.")
        var database: String

        func store() -> (FarmStore, PostgresPool) {
            var configuration = PostgresConfiguration(conninfo: database)
            configuration.maxConnections = 32
            configuration.statementTimeout = .seconds(600)
            configuration.planCacheMode = .forceGenericPlan
            let pool = PostgresPool(configuration)
            return (FarmStore(pool: pool), pool)
        }
    }

    /// The four requirements of tasks; each worker meets two.
    static func requirement(_ number: Int) -> TaskRequirement {
        var wanted = TaskRequirement()
        switch number % 4 {
        case 0: wanted.precision = "int8"
        case 1: wanted.precision = "bfloat16"
        case 2: wanted.tags = ["amx"]
        default: wanted.memoryBytes = 64 << 30
        }
        return wanted
    }

    static func registration(_ number: Int) -> WorkerRegistration {
        let precision = number.isMultiple(of: 2) ? "int8" : "bfloat16"
        var worker = WorkerRegistration(
            name: "worker-\(number)",
            modelName: "flux",
            modelDigest: "digest",
            precision: precision
        )
        if number % 4 < 2 { worker.tags = ["amx"] } else { worker.memory = 64 << 30 }
        return worker
    }
}

/// Fills the queue up to a number of ready tasks of 20 owners.
struct Fill: AsyncParsableCommand {
    @OptionGroup var options: QueueBenchmark.Options
    @Option(help: "How many tasks are to be ready.")
    var tasks: Int

    func run() async throws {
        let (store, pool) = options.store()
        _ = try await store.migrate()
        let ready = try await pool.query("SELECT count(*) AS n FROM ready").first?
            .decode("n", as: Int.self)
        let jobs = 80
        let missing = max(0, tasks - (ready ?? 0))
        for number in 0..<min(jobs, missing) {
            let share = missing / jobs + (number < missing % jobs ? 1 : 0)
            var job = JobSubmission(
                owner: "owner-\(number % 20)",
                key: nil,
                name: "job",
                specification: #"{"name": "job"}"#,
                canonicalDigest: "digest",
                modelName: "flux",
                modelDigest: "digest",
                tasks: (0..<share).map { _ in NewTask(cost: 1e15) }
            )
            job.requirement = QueueBenchmark.requirement(number / 20)
            _ = try await store.submitJob(job)
        }
        await pool.close()
    }
}

/// Claims and delivers from 32 workers at once, and prints the cycles a second.
struct Cycles: AsyncParsableCommand {
    @OptionGroup var options: QueueBenchmark.Options
    @Option(help: "How many tasks a claim asks for.")
    var batch: Int
    @Option(help: "How many cycles to measure.")
    var cycles: Int

    func run() async throws {
        let (store, pool) = options.store()
        let left = Countdown(cycles)
        var workers: [WorkerID] = []
        for number in 0..<32 {
            let worker = QueueBenchmark.registration(number)
            workers.append(try await store.registerWorker(worker).id)
        }
        let start = ContinuousClock.now
        try await withThrowingTaskGroup { group in
            for worker in workers {
                group.addTask { try await work(as: worker, on: store, left) }
            }
            try await group.waitForAll()
        }
        let elapsed = start.duration(to: .now) / .seconds(1)
        let done = cycles - left.count
        print(Int(Double(done) / elapsed))
        await pool.close()
    }

    private func work(
        as worker: WorkerID,
        on store: FarmStore,
        _ left: Countdown
    ) async throws {
        while left.count > 0 {
            guard case .tasks(let tasks) = try await store.claimTasks(worker: worker, limit: batch)
            else { continue }
            try await withThrowingTaskGroup { group in
                for task in tasks {
                    group.addTask { try await deliver(task, on: store) }
                }
                try await group.waitForAll()
            }
            left.take(tasks.count)
        }
    }

    private func deliver(_ task: ClaimedTask, on store: FarmStore) async throws {
        guard let image = task.images.first else { return }
        let outcome = try await store.deliverImage(
            task.fence,
            imageIndex: image.index,
            output: DeliveredOutput(
                digest: String(repeating: "ab", count: 32),
                size: 1_000_000,
                numericClass: "class"
            ),
            final: AttemptTotals()
        )
        guard outcome == .delivered(.succeeded) else {
            throw ValidationError("a delivery was answered \(outcome)")
        }
    }
}

/// What is left to do, counted by all workers.
final class Countdown: Sendable {
    private let left: Mutex<Int>

    init(_ count: Int) { left = Mutex(count) }

    var count: Int { left.withLock { $0 } }

    func take(_ done: Int) { left.withLock { $0 -= done } }
}
