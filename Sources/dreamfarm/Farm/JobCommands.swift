import ArgumentParser
import FarmClient
import FarmModel

/// Usage: `dreamfarm jobs [-o json]`.
struct JobsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jobs",
        abstract: "List the jobs, newest first."
    )

    @OptionGroup var farm: FarmOptions

    func run() async throws {
        try await CommandExit.run {
            let client = try farm.client()
            var jobs: [JobView] = []
            var after: String?
            repeat {
                let page = try await client.jobs(after: after)
                jobs += page.items
                after = page.next
            } while after != nil
            switch farm.format {
            case .json: print(try FarmJSON.text(jobs))
            case .text: for job in jobs { print("\(job.id) \(JobProgress.line(for: job))") }
            }
            return .done
        }
    }
}

/// Usage: `dreamfarm job show JOB`.
struct JobCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "job",
        abstract: "Look at one job.",
        subcommands: [Show.self]
    )

    /// Shows a job and why images of it failed.
    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show how far a job is.")

        @Argument(help: "The job's id or key.")
        var job: String

        @OptionGroup var farm: FarmOptions

        func run() async throws {
            try await CommandExit.run {
                let client = try farm.client()
                let job = try await client.job(job)
                switch farm.format {
                case .json: print(try FarmJSON.text(job))
                case .text:
                    print("\(job.id) \(JobProgress.line(for: job))")
                    print("model \(job.model) (\(job.modelDigest)), priority \(job.priority)")
                    try await JobFailures.report(job, client)
                }
                return .done
            }
        }
    }
}

/// Usage: `dreamfarm cancel JOB`.
struct CancelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel",
        abstract: "Stop a job; what is delivered stays."
    )

    @Argument(help: "The job's id or key.")
    var job: String

    @OptionGroup var farm: FarmOptions

    func run() async throws {
        try await CommandExit.run {
            let client = try farm.client()
            let found = try await client.job(job)
            let job = try await client.cancel(found.id)
            switch farm.format {
            case .json: print(try FarmJSON.text(job))
            case .text: print("\(job.id) \(JobProgress.line(for: job))")
            }
            return .done
        }
    }
}
