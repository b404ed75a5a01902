import ArgumentParser
import FarmClient
import FarmModel
import FoundationEssentials

/// Usage: `dreamfarm submit SPEC [--wait] [--timeout 1h] [--key KEY] [-o json]`.
struct SubmitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "submit",
        abstract: "Submit a job, uploading the references that the farm lacks."
    )

    @Argument(help: "The job's specification, YAML or JSON.")
    var specification: String

    @Option(help: "A name of your own for the job; submitting it again gives the same job.")
    var key: String?

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
    }

    func run() async throws {
        try await CommandExit.run {
            let client = try farm.client()
            let job = try await submit(to: client)
            guard wait || timeout != nil else {
                try report(job)
                return .done
            }
            let progress = JobProgress(client: client, timeout: timeout?.duration)
            guard let ended = try await progress.follow(job.id) else {
                StandardError.write(
                    "the job \(job.id) is not over yet and goes on: see dreamfarm job show\n"
                )
                try report(job)
                return .timedOut
            }
            try await JobFailures.report(ended, client)
            try report(ended)
            return CommandExit(ended.state)
        }
    }

    private func submit(to client: CoordinatorClient) async throws -> JobView {
        guard let data = FileManager.default.contents(atPath: specification) else {
            throw SpecificationFileError(path: specification)
        }
        var job = try JobSpecification(parsing: String(decoding: data, as: UTF8.self))
        let folder = specification.split(separator: "/", omittingEmptySubsequences: false)
            .dropLast().joined(separator: "/")
        let files = try ReferenceFiles(of: job, beside: folder)
        let uploaded = try await files.upload(to: client)
        if uploaded > 0 { StandardError.write("uploaded \(uploaded) references\n") }
        job = job.withDigests(files.digests)
        let answer = try await client.submit(job, key: key.flatMap(JobKey.init(rawValue:)))
        for warning in answer.warnings ?? [] { StandardError.write("warning: \(warning)\n") }
        StandardError.write("job \(answer.id): \(answer.images.total) images\n")
        return answer
    }

    private func report(_ job: JobView) throws {
        switch farm.format {
        case .text: print(job.id)
        case .json: print(try FarmJSON.text(job))
        }
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
        for try await image in JobImages(client: client, job: job.id) {
            guard let failure = image.failure, image.state == .failed else { continue }
            StandardError.write("image \(image.index): \(failure.message)\n")
        }
    }
}

/// The images of a job, fetched page by page.
struct JobImages: AsyncSequence {
    let client: CoordinatorClient
    let job: JobID

    struct AsyncIterator: AsyncIteratorProtocol {
        let client: CoordinatorClient
        let job: JobID
        var page: [ImageView] = []
        var next: String?
        var isLastPage = false

        mutating func next() async throws -> ImageView? {
            while page.isEmpty, !isLastPage {
                let answer = try await client.images(of: job, after: next)
                page = answer.items.reversed()
                next = answer.next
                isLastPage = answer.next == nil
            }
            return page.popLast()
        }
    }

    func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(client: client, job: job)
    }
}
