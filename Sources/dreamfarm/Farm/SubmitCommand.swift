import ArgumentParser
import FarmClient
import FarmModel
import FoundationEssentials
import Imaging
import Telemetry

/// Usage: `dreamfarm submit SPEC [--dry-run] [--wait] [--timeout 1h] [--key KEY] [-o json]`.
struct SubmitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "submit",
        abstract: "Submit a job, uploading the references and LoRAs that the farm lacks."
    )

    @Argument(help: "The job's specification, YAML or JSON.")
    var specification: String

    @Option(help: "A name of your own for the job; submitting it again gives the same job.")
    var key: String?

    @Flag(help: "Only say what the job would be: images, tasks, cost, what no worker can run.")
    var dryRun = false

    @Flag(help: "Refuse the job when no live worker can run it.")
    var requireRunnable = false

    @Flag(
        help: """
            Keep the job's trace, whatever the farm's share of them, and say its id. Without it, \
            TRACEPARENT in the environment names the trace that the job is part of.
            """
    )
    var trace = false

    @Flag(help: "Wait until the job is over, and exit with 0, 3 (failed) or 4 (cancelled).")
    var wait = false

    @Option(help: "Wait at most so long (8s, 2m, 1h), then exit with 5.")
    var timeout: DurationArgument?

    @OptionGroup var farm: FarmOptions

    func validate() throws {
        if let key, JobKey(rawValue: key) == nil {
            throw ValidationError(
                "--key must be 1 to 128 letters, digits, '.', '_' or '-', not '\(key)'"
            )
        }
        if dryRun, wait || timeout != nil {
            throw ValidationError("--dry-run submits nothing that could be waited for")
        }
    }

    func run() async throws {
        let environment = ProcessInfo.processInfo.environment
        let outer = TraceContext(
            traceparent: environment["TRACEPARENT"],
            tracestate: environment["TRACESTATE"]
        )
        let place = trace ? outer?.kept ?? .root(isSampled: true) : outer
        if trace, let place { StandardError.write("trace \(place.traceID)\n") }
        try await CommandExit.run {
            let client = try farm.client()
            let (job, files) = try read()
            guard files.problems.isEmpty else {
                throw try await refusal(of: job, files.problems, client)
            }
            if dryRun {
                try report(try await client.plan(job))
                return .done
            }
            let uploaded = try await files.upload(to: client)
            if uploaded > 0 { StandardError.write("uploaded \(CountText.of(uploaded, "file"))\n") }
            let answer = try await TraceContext.within(place) {
                try await client.submit(
                    job,
                    key: key.flatMap(JobKey.init(rawValue:)),
                    requiresWorker: requireRunnable
                )
            }
            for warning in answer.warnings ?? [] {
                StandardError.write("warning: \(shown("\(warning)"))\n")
            }
            StandardError.write("job \(answer.id): \(CountText.of(answer.images.total, "image"))\n")
            guard wait || timeout != nil else {
                try farm.show(answer, "\(answer.id)")
                return .done
            }
            return try await farm.wait(for: answer.id, client, timeout: timeout?.duration)
        }
    }

    /// The job with its files' digests, and the files.
    private func read() throws -> (JobSpecification, JobFiles) {
        guard let data = FileManager.default.contents(atPath: specification) else {
            throw SpecificationFileError(path: specification)
        }
        let job = try JobSpecification(parsing: data)
        let folder = specification.split(separator: "/", omittingEmptySubsequences: false)
            .dropLast().joined(separator: "/")
        let files = JobFiles(of: job, beside: folder)
        return (job.withDigests(files.digests), files)
    }

    /// What is wrong with a job whose files cannot be read: that, and what the farm finds besides.
    private func refusal(
        of job: JobSpecification,
        _ unreadable: [SpecificationProblem],
        _ client: CoordinatorClient
    ) async throws -> JobSpecificationError {
        do {
            _ = try await client.plan(job)
        } catch FarmClientError.refused(let answer) {
            return JobSpecificationError(problems: unreadable + (answer.problems ?? []))
        } catch is FarmClientError {
            // The files are to be mended first in any case.
        }
        return JobSpecificationError(problems: unreadable)
    }

    private func report(_ plan: PlanView) throws {
        guard farm.format == .text else { return print(try FarmJSON.text(plan)) }
        var line = "\(plan.name): \(plan.images) images in \(plan.tasks) tasks with "
        line += "\(plan.model), \((plan.flops / 1e12 * 10).rounded() / 10) TFLOP"
        if let seconds = plan.estimatedSeconds {
            line += ", about \(Int(seconds.rounded(.up))) s on \(plan.eligibleWorkers) workers"
        }
        print(shown(line))
        if let group = plan.group, let reason = plan.groupReason {
            print(shown("groups of \(group) would render it: \(reason)"))
        }
        for why in plan.unrunnable { print(shown("waits: \(why.sentence)")) }
        for warning in plan.warnings { print(shown("warning: \(warning)")) }
        if !plan.missingBlobs.isEmpty { print("\(plan.missingBlobs.count) files to upload") }
    }
}

/// A specification that cannot be read.
struct SpecificationFileError: Error, CustomStringConvertible {
    var path: String

    var description: String { "\(path): the specification cannot be read; check the name" }
}

/// A duration on the command line: `8s`, `2m`, `1h`, or seconds as a bare number.
struct DurationArgument: ExpressibleByArgument {
    var duration: Duration

    init(_ duration: Duration) {
        self.duration = duration
    }

    init?(argument: String) {
        guard let duration = FarmSettings.duration(argument) else { return nil }
        self.duration = duration
    }
}

/// Tells why images of a job failed.
enum JobFailures {
    /// Writes a line for each failed image.
    static func report(_ job: JobView, _ client: CoordinatorClient) async throws {
        guard job.images.failed > 0 else { return }
        for try await image in client.images(of: job.id, state: .failed) {
            guard let failure = image.failure else { continue }
            StandardError.write("image \(image.index): \(shown(failure.message))\n")
        }
    }
}
