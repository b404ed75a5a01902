import ArgumentParser
import FarmClient
import FarmModel

/// Usage: `dreamfarm cancel JOB [--mode after-step|now]`.
struct CancelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel",
        abstract: "Stop a job; what is delivered stays."
    )

    @Argument(help: "The job's id or key.", completion: .farm(.jobs))
    var job: String

    @Option(help: "When workers stop: after-step lets the present step end, now does not.")
    var mode: CancelMode = .afterStep

    @OptionGroup var farm: FarmOptions

    func run() async throws {
        try await farm.change(job) { try await $0.cancel($1, mode: mode) }
    }
}

/// Usage: `dreamfarm pause JOB`, `--pool POOL` or `--farm`.
struct PauseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause",
        abstract: "Keep a job, a pool or the farm from new tasks; what is begun is finished."
    )

    @OptionGroup var place: PausePlace
    @OptionGroup var farm: FarmOptions

    func run() async throws {
        try await place.setPaused(true, farm)
    }
}

/// Usage: `dreamfarm resume JOB`, `--pool POOL` or `--farm`.
struct ResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume",
        abstract: "Let a paused job, pool or farm go on."
    )

    @OptionGroup var place: PausePlace
    @OptionGroup var farm: FarmOptions

    func run() async throws {
        try await place.setPaused(false, farm)
    }
}

/// What is paused or resumed: a job, a pool, or the farm.
struct PausePlace: ParsableArguments {
    @Argument(help: "The job's id or key.", completion: .farm(.jobs))
    var job: String?

    @Option(help: "The pool instead of a job.")
    var pool: String?

    @Flag(name: .customLong("farm"), help: "The whole farm instead of a job.")
    var isWholeFarm = false

    func validate() throws {
        let count = [job != nil, pool != nil, isWholeFarm].filter(\.self).count
        guard count == 1 else {
            throw ValidationError("name one of a job, --pool POOL, and --farm")
        }
    }

    func setPaused(_ isPaused: Bool, _ farm: FarmOptions) async throws {
        if let job {
            return try await farm.change(job) {
                isPaused ? try await $0.pause($1) : try await $0.resume($1)
            }
        }
        try await CommandExit.run {
            let view = try await farm.client().setPaused(isPaused, pool: pool)
            try farm.show(
                view,
                "\(pool.map { "the pool \($0)" } ?? "the farm") \(isPaused ? "is paused" : "goes on")"
            )
            return .done
        }
    }
}

/// Usage: `dreamfarm retry JOB --failed` or `--image N`.
struct RetryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retry",
        abstract: "Try failed images of a job again."
    )

    @Argument(help: "The job's id or key.", completion: .farm(.jobs))
    var job: String

    @Flag(help: "Every failed image.")
    var failed = false

    @Option(help: "The failed image with this index; may stand several times.")
    var image: [Int] = []

    @OptionGroup var farm: FarmOptions

    func validate() throws {
        guard failed != !image.isEmpty else {
            throw ValidationError("give either --failed or --image N")
        }
    }

    func run() async throws {
        try await farm.change(job) { try await $0.retry($1, images: failed ? nil : image) }
    }
}

/// Usage: `dreamfarm prioritize JOB PRIORITY [--lift|--no-lift]`.
struct PrioritizeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prioritize",
        abstract: "Change a job's place among its owner's jobs."
    )

    @Argument(help: "The job's id or key.", completion: .farm(.jobs))
    var job: String

    @Argument(help: "The priority, 0 to 100; more is earlier.")
    var priority: Int?

    @Flag(
        inversion: .prefixedNo,
        help: "Put the job above every owner's share; only an operator may."
    )
    var lift: Bool?

    @OptionGroup var farm: FarmOptions

    func validate() throws {
        guard priority != nil || lift != nil else {
            throw ValidationError("give a priority, --lift or --no-lift")
        }
        if let priority, !(0...100).contains(priority) {
            throw ValidationError("the priority must be from 0 to 100, not \(priority)")
        }
    }

    func run() async throws {
        let request = PriorityRequest(priority: priority, isLifted: lift)
        try await farm.change(job) { try await $0.prioritize($1, request) }
    }
}

/// Usage: `dreamfarm rm JOB [--what-if]`.
struct RemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm",
        abstract: "Delete a job that is over, with its pictures and history."
    )

    @Argument(help: "The job's id or key.", completion: .farm(.jobs))
    var job: String

    @Flag(help: "Only say what would be taken away.")
    var whatIf = false

    @OptionGroup var farm: FarmOptions

    func run() async throws {
        try await CommandExit.run {
            let client = try farm.client()
            let job = try await client.job(job)
            let preview = try await client.delete(job.id, isPreview: whatIf)
            let verb = preview.isDeleted ? "deleted" : "would delete"
            try farm.show(
                preview,
                "\(verb) \(preview.name): \(preview.outputs) pictures "
                    + "(\(ByteCount.text(preview.outputBytes))), \(preview.attempts) attempts, "
                    + "\(preview.events) events"
            )
            return .done
        }
    }
}

extension FarmOptions {
    /// Changes a job, and prints it as it then stands.
    func change(
        _ job: String,
        _ call: (CoordinatorClient, JobID) async throws -> JobView
    ) async throws {
        try await CommandExit.run {
            let client = try client()
            let changed = try await call(client, try await client.job(job).id)
            try show(changed, "\(changed.id) \(JobProgress.line(for: changed))")
            return .done
        }
    }
}

extension CancelMode: ExpressibleByArgument {
    /// Reads `after-step` and `now`.
    package init?(argument: String) {
        self.init(rawValue: argument.replacing("-", with: "_"))
    }

    package static var allValueStrings: [String] { ["after-step", "now"] }
    package var defaultValueDescription: String { rawValue.replacing("_", with: "-") }
}
