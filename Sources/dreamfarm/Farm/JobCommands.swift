import ArgumentParser
import FarmClient
import FarmModel
import FoundationEssentials
import Imaging

/// Usage: `dreamfarm jobs [--state STATE] [--owner OWNER] [--limit N] [-o json]`.
struct JobsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jobs",
        abstract: "List the jobs, newest first."
    )

    @Option(help: "Only jobs in this state.")
    var state: JobState?

    @Option(help: "Only this owner's jobs; operators see every owner's.")
    var owner: String?

    @Option(help: "At most so many.")
    var limit = 1000

    @OptionGroup var farm: FarmOptions

    func run() async throws {
        try await CommandExit.run {
            let filter = JobFilter(state: state, owner: owner)
            let jobs = try await farm.client().jobs(filter).all(limit: limit)
            switch farm.format {
            case .json: print(try FarmJSON.text(jobs))
            case .text: for job in jobs { print("\(job.id) \(shown(JobProgress.line(for: job)))") }
            }
            return .done
        }
    }
}

/// Usage: `dreamfarm job JOB`.
struct JobCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "job",
        abstract: "Look at one job.",
        subcommands: [Show.self],
        defaultSubcommand: Show.self
    )

    /// Shows a job, what it waits for, and why images of it failed.
    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show how far a job is.")

        @Argument(help: "The job's id or key.", completion: .farm(.jobs))
        var job: String

        @OptionGroup var farm: FarmOptions

        func run() async throws {
            try await CommandExit.run {
                let client = try farm.client()
                let job = try await client.job(job)
                guard farm.format == .text else {
                    print(try FarmJSON.text(job))
                    return .done
                }
                print("\(job.id) \(shown(JobProgress.line(for: job)))")
                print(
                    shown(
                        "model \(job.model) (\(job.modelDigest)), priority \(job.priority), "
                            + "owner \(job.owner)"
                    )
                )
                if let finishBy = job.finishBy {
                    print("to be finished by \(finishBy.formatted(.iso8601))")
                }
                if let reason = job.reason { print(shown(reason)) }
                if !job.state.isFinal {
                    for why in try await client.why(job.id) {
                        let verb = why.tasks == 1 ? "waits" : "wait"
                        let tasks = CountText.of(why.tasks, "task")
                        print(shown("\(tasks) \(verb): \(why.sentence)"))
                    }
                }
                try await JobFailures.report(job, client)
                return .done
            }
        }
    }
}

/// Usage: `dreamfarm tasks JOB [--state STATE]`.
struct TasksCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tasks",
        abstract: "List a job's tasks: where each stands, at which worker, and why it waits."
    )

    @Argument(help: "The job's id or key.", completion: .farm(.jobs))
    var job: String

    @Option(help: "Only tasks in this state.")
    var state: TaskState?

    @Option(help: "At most so many.")
    var limit = 1000

    @OptionGroup var farm: FarmOptions

    func run() async throws {
        try await CommandExit.run {
            let client = try farm.client()
            let job = try await client.job(job)
            let tasks = try await client.tasks(of: job.id, state: state).all(limit: limit)
            var table = TextTable("TASK", "IMAGES", "STATE", "TRIES", "WORKER", "NOTE")
            for task in tasks {
                table.add(
                    "\(task.id)",
                    Self.images(of: task),
                    task.state.rawValue,
                    "\(task.attempts)",
                    task.workerName ?? task.worker?.description ?? "-",
                    Self.note(on: task)
                )
            }
            try farm.show(tasks, table, none: "no tasks")
            return .done
        }
    }

    private static func images(of task: TaskView) -> String {
        guard let first = task.firstIndex, let count = task.imageCount else { return "-" }
        return count == 1 ? "\(first)" : "\(first)-\(first + count - 1)"
    }

    private static func note(on task: TaskView) -> String {
        if let step = task.progress, step.steps > 0 {
            return "image \(step.image ?? 0): step \(step.step) of \(step.steps)"
        }
        return task.waiting?.sentence ?? task.parked?.sentence ?? task.failure?.message ?? ""
    }
}

/// Usage: `dreamfarm why JOB|TASK`.
struct WhyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "why",
        abstract: "Say why tasks of a job, or one task, wait."
    )

    @Argument(help: "The job's id or key, or a task's id.", completion: .farm(.jobs))
    var subject: String

    @OptionGroup var farm: FarmOptions

    func run() async throws {
        try await CommandExit.run {
            let reasons = try await reasons(from: farm.client())
            switch farm.format {
            case .json: print(try FarmJSON.text(reasons))
            case .text:
                if reasons.isEmpty { print("nothing of it waits") }
                for why in reasons {
                    let tasks = CountText.of(why.tasks, "task")
                    print(shown("\(why.reason.rawValue) (\(tasks)): \(why.sentence)"))
                }
            }
            return .done
        }
    }

    private func reasons(from client: CoordinatorClient) async throws -> [WhyView] {
        do {
            return try await client.why(try await client.job(subject).id)
        } catch let error as FarmClientError where error.kind == .notFound {
            guard let task = TaskID(subject) else { throw error }
            guard try await !client.task(task).state.isFinal else { return [] }
            return [try await client.why(task)]
        }
    }
}

extension JobState: ExpressibleByArgument {}
extension TaskState: ExpressibleByArgument {}
