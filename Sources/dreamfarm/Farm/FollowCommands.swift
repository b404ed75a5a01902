import ArgumentParser
import FarmClient
import FarmModel
import FoundationEssentials
import Imaging

/// Usage: `dreamfarm wait JOB [--timeout 1h]`.
struct WaitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait",
        abstract:
            """
            Wait until a job is over, or nothing but drafts is left of it; exits with 0, 3 (failed), \
            4 (cancelled) or 5 (time-out).
            """
    )

    @Argument(help: "The job's id or key.", completion: .farm(.jobs))
    var job: String

    @Option(help: "Wait at most so long (8s, 2m, 1h), then exit with 5.")
    var timeout: DurationArgument?

    @OptionGroup var farm: FarmOptions

    func run() async throws {
        try await CommandExit.run {
            let client = try farm.client()
            let job = try await client.job(job)
            return try await farm.wait(for: job.id, client, timeout: timeout?.duration)
        }
    }
}

extension FarmOptions {
    /// Follows a job to its end, prints it, and tells how it ended.
    func wait(
        for job: JobID,
        _ client: CoordinatorClient,
        timeout: Duration?
    ) async throws -> CommandExit {
        let progress = JobProgress(client: client, timeout: timeout)
        guard let ended = try await progress.follow(job) else {
            StandardError.write("the job \(job) is not over yet and goes on: see dreamfarm job\n")
            let job = try await client.job(job.description)
            try show(job, "\(job.id)")
            return .timedOut
        }
        try await JobFailures.report(ended, client)
        if ended.state == .drafted { StandardError.write(shown(ended.draftAdvice) + "\n") }
        try show(ended, "\(ended.id)")
        return CommandExit(ended.state)
    }
}

/// Usage: `dreamfarm watch JOB`.
struct WatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract:
            "Show what happens to a job as it happens, until it is over or nothing but drafts is left."
    )

    @Argument(help: "The job's id or key.", completion: .farm(.jobs))
    var job: String

    @Option(help: "Begin behind this event; 0 is the job's beginning.")
    var after: Int64 = 0

    @Flag(help: "Every step of the workers too.")
    var steps = false

    @OptionGroup var farm: FarmOptions

    func run() async throws {
        try await CommandExit.run {
            let client = try farm.client()
            let job = try await client.job(job)
            // Behind the job's last event there is nothing to begin at.
            var last = min(after, job.eventNumber ?? after)
            while true {
                if let ended = try await ended(job.id, client, last) { return end(ended) }
                do {
                    let signals = client.signals(of: job.id, after: last)
                    for try await signal in signals {
                        switch signal {
                        case .event(let event):
                            last = event.number
                            try show(event)
                            let rests = [.jobDrafted, .jobResumed].contains(event.kind)
                            if event.kind.endsJob || rests,
                                let ended = try await ended(job.id, client, last)
                            {
                                return end(ended)
                            }
                        case .step(let step): if steps { try show(step) }
                        }
                    }
                } catch let error as FarmClientError where error.isAway {
                    StandardError.write("\(error); waiting\n")
                }
                try await Task.sleep(for: .seconds(1))
            }
        }
    }

    /// The job, where nothing came behind an event that ended it or left drafts alone: a retry begins it
    /// anew, and what is kept goes on.
    private func ended(
        _ job: JobID,
        _ client: CoordinatorClient,
        _ number: Int64
    ) async throws -> JobView? {
        let job = try await client.job(job.description)
        return job.isAtRest && (job.eventNumber ?? number) <= number ? job : nil
    }

    private func end(_ job: JobView) -> CommandExit {
        if job.state == .drafted { StandardError.write(shown(job.draftAdvice) + "\n") }
        return CommandExit(job.state)
    }

    private func show(_ event: EventView) throws {
        guard farm.format == .text else { return print(try FarmJSON.text(event)) }
        let data = event.data
        var text = "\(event.number) \(event.at.formatted(.iso8601)) \(event.kind.rawValue)"
        if let index = data.index { text += " image \(index)" }
        if let name = data.name { text += " \(name)" }
        if let worker = data.worker { text += " by \(worker)" }
        if let count = data.count { text += " (\(count))" }
        if let step = data.step { text += " after step \(step)" }
        if let job = data.job { text += " for the job \(job)" }
        if let failure = data.failure { text += ": \(failure.message)" }
        if let reason = data.reason { text += ": \(reason)" }
        print(shown(text))
    }

    private func show(_ step: StepView) throws {
        guard farm.format == .text else { return print(try FarmJSON.text(step)) }
        print(
            shown(
                "\(step.workerName): image \(step.image ?? 0), step \(step.step) of \(step.steps)"
            )
        )
    }
}
