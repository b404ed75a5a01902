import Diffusion
import Foundation
import Tensors

/// What a command line means: the model, and the pictures to make with it.
struct RenderPlan {
    private let model: ModelOptions
    private let picture: PictureOptions
    private let output: OutputOptions
    private let task: TaskFile?
    private let selection: AdapterSelection
    private let conditions: [Condition]
    private let prompts: [String]

    enum PlanError: Error, Equatable, CustomStringConvertible {
        case noPrompt(path: String)
        case version(path: String, value: String)
        case conditionTask(path: String, value: String)
        case dumpOfSeveral(count: Int)
        case dumpOverOutput(path: String)
        case severalToStandardOutput(count: Int)

        var description: String {
            switch self {
            case .noPrompt(let path):
                "\(path): has no prompt: add the key, or give --prompt"
            case .version(let path, let value):
                "\(path): version '\(value)' is unknown: use v1 or v1.1"
            case .conditionTask(let path, let value):
                "\(path): the condition's task '\(value)' is unknown: use ip, id or style"
            case .dumpOfSeveral(let count):
                "--dump holds one picture, and this makes \(count): use one prompt and one seed"
            case .dumpOverOutput(let path):
                "--dump and --output both name \(path): give each a file of its own"
            case .severalToStandardOutput(let count):
                "--output - holds one picture, and this makes \(count): use one prompt and one seed,"
                    + " or name a file, from which each gets a name of its own"
            }
        }
    }

    /// Reads what is small, so that what is wrong with it is said before the model is opened.
    ///
    /// - Throws: ``TaskFile/ReadError``, ``PlanError``, ``ReferenceOption/ParseError``,
    ///   ``OutputFile/PathError``, ``StandardOutput/TerminalError``, ``StandardInput/ReadError``,
    ///   `AdapterError` or `ImageError`.
    init(model: ModelOptions, picture: PictureOptions, output: OutputOptions) throws {
        self.model = model
        self.picture = picture
        self.output = output
        if output.output == StandardOutput.name {
            try StandardOutput.checkReader(option: "--output", isForced: output.force)
        } else {
            try OutputFile.checkWritable(output.output)
        }
        if let dump = output.dump {
            try OutputFile.checkWritable(dump, option: "--dump")
            if dump == output.output { throw PlanError.dumpOverOutput(path: dump) }
        }
        task = try picture.task.map { try TaskFile.read($0) }
        selection = try Self.selection(model: model, picture: picture, task: task)
        conditions = try Self.conditions(picture: picture, task: task)
        prompts = try Self.prompts(picture: picture, task: task)
    }

    /// Opens the model and its adapters.
    ///
    /// - Parameters:
    ///   - cache: Remembers the model's digest, or nil.
    ///   - log: Receives what the user should know, a line at a time.
    /// - Returns: The pipeline; no weight is read yet.
    /// - Throws: What is missing, broken, or does not fit.
    func makePipeline(
        cache: DigestCache? = .standard,
        log: @escaping (String) -> Void
    ) async throws -> RenderPipeline {
        for key in picture.task.map(TaskFile.unknownKeys) ?? [] {
            log("warning: \(picture.task ?? ""): the key '\(key)' is unknown and ignored")
        }
        let compute = Compute(threads: model.threads)
        let directory = try ModelDirectory(path: model.model, parts: model.parts)
        let pipeline = try RenderPipeline(
            model: directory,
            digest: try await directory.baseDigest(
                threads: compute.threads,
                cache: cache
            ),
            selection: selection,
            precision: model.precision.precision,
            ranks: model.ranks,
            compute: compute
        )
        pipeline.log = log
        for line in pipeline.adapters.warnings {
            log("warning: \(line)")
        }
        for adapter in pipeline.listing {
            log("adapter \(adapter.name) × \(adapter.strength), \(adapter.pairCount) pairs")
        }
        return pipeline
    }

    /// The group that the pipeline leads, its other ranks on threads of this process; nil where it
    /// renders alone.
    ///
    /// - Throws: What keeps the ranks from reaching each other.
    func makeGroup(
        for pipeline: RenderPipeline,
        log: @escaping @Sendable (String) -> Void
    ) throws -> GroupThreads? {
        guard model.ranks > 1 else { return nil }
        let group = try GroupThreads(ranks: model.ranks)
        let (directory, precision) = (pipeline.model, pipeline.precision)
        let (selection, ranks, threads) = (selection, model.ranks, model.threads)
        group.start { rank, link in
            let follower = try RenderFollower(
                model: directory,
                selection: selection,
                precision: precision,
                shard: Shard(rank: rank, size: ranks),
                compute: Compute(threads: threads),
                log: log
            )
            try follower.follow(link)
        }
        try pipeline.join(group.links[0])
        return group
    }

    private static func selection(
        model: ModelOptions,
        picture: PictureOptions,
        task: TaskFile?
    ) throws -> AdapterSelection {
        let choice: AdapterSelection.Choice
        if let name = model.adapters {
            choice = try AdapterSelection.choice(named: name)
        } else if let task {
            let version = task.version ?? TaskFile.Defaults.version
            guard let version = AdapterVersion(rawValue: version) else {
                throw PlanError.version(path: picture.task ?? "", value: version)
            }
            choice = .preferred(version)
        } else {
            choice = .available
        }
        return AdapterSelection(
            dreamO: choice,
            usesTurbo: !model.noTurbo && task?.turbo ?? true,
            loras: try model.lora.map { try AdapterSelection.Lora(parsing: $0) }
        )
    }

    // MARK: - Pictures

    /// Every picture, checked, in the order prompts then seeds.
    func jobs(for pipeline: RenderPipeline, log: (String) -> Void) throws -> [RenderJob] {
        let seeds = self.seeds(log: log)
        let count = prompts.count * seeds.count
        if output.dump != nil, count > 1 {
            throw PlanError.dumpOfSeveral(count: count)
        }
        if output.output == StandardOutput.name, count > 1 {
            throw PlanError.severalToStandardOutput(count: count)
        }
        return try prompts.enumerated().flatMap { index, prompt in
            try seeds.map { seed in
                let request = request(prompt, seed: seed, for: pipeline)
                try request.validate()
                return RenderJob(
                    request: request,
                    path: OutputFile.path(
                        output.output,
                        prompt: prompts.count > 1 ? index : nil,
                        seed: seeds.count > 1 ? seed : nil
                    )
                )
            }
        }
    }

    private static func prompts(picture: PictureOptions, task: TaskFile?) throws -> [String] {
        let given = picture.prompt
        if given.count(where: { $0 == StandardInput.name }) > 1 {
            throw StandardInput.ReadError.twice
        }
        if !given.isEmpty {
            return try given.map { $0 == StandardInput.name ? try StandardInput.prompt() : $0 }
        }
        guard let prompt = task?.prompt else {
            throw PlanError.noPrompt(path: picture.task ?? "")
        }
        return [prompt]
    }

    private func seeds(log: (String) -> Void) -> [UInt64] {
        var first = picture.seed
        if first.isEmpty, let task {
            first = [task.seed ?? TaskFile.Defaults.seed]
        }
        if first.isEmpty {
            let seed = UInt64.random(in: 0...UInt64(UInt32.max))
            log("seed \(seed)")
            first = [seed]
        }
        return first.flatMap { seed in (0..<picture.count).map { seed &+ UInt64($0) } }
    }

    private static func conditions(
        picture: PictureOptions,
        task: TaskFile?
    ) throws -> [Condition] {
        if !picture.reference.isEmpty {
            return try picture.reference.enumerated().map { index, argument in
                let option = try ReferenceOption(argument)
                return try Condition(
                    path: option.path,
                    task: option.task,
                    slot: option.slot ?? index + 1
                )
            }
        }
        return try (task?.conditions ?? []).enumerated().map { index, condition in
            let name = condition.task ?? Condition.Task.ip.rawValue
            guard let task = Condition.Task(rawValue: name) else {
                throw PlanError.conditionTask(path: picture.task ?? "", value: name)
            }
            return try Condition(
                path: condition.image,
                task: task,
                slot: condition.index ?? index + 1
            )
        }
    }

    /// Options over the task file with its defaults, or over the model's.
    private func request(
        _ prompt: String,
        seed: UInt64,
        for pipeline: RenderPipeline
    ) -> RenderRequest {
        let defaults =
            task.map {
                RenderDefaults(
                    width: $0.width ?? TaskFile.Defaults.side,
                    height: $0.height ?? TaskFile.Defaults.side,
                    steps: $0.steps ?? TaskFile.Defaults.steps,
                    guidance: $0.guidance ?? TaskFile.Defaults.guidance,
                    refRes: pipeline.defaults.refRes
                )
            } ?? pipeline.defaults
        var request = RenderRequest(
            prompt: prompt,
            width: picture.size?.width ?? defaults.width,
            height: picture.size?.height ?? defaults.height,
            steps: picture.steps ?? defaults.steps,
            guidance: picture.guidance ?? defaults.guidance,
            seed: seed,
            refRes: picture.refRes ?? defaults.refRes
        )
        request.negativePrompt = picture.negativePrompt ?? task?.negative_prompt ?? ""
        request.firstStepGuidance = picture.firstStepGuidance ?? task?.first_step_guidance ?? 0
        request.trueCFG = TrueCFG(
            scale: picture.trueCfg?.scale ?? task?.true_cfg ?? 1,
            start: picture.trueCfg?.start ?? task?.cfg_start ?? 0,
            end: picture.trueCfg?.end ?? task?.cfg_end ?? 0,
            guidance: picture.negativeGuidance ?? task?.neg_guidance ?? 3.5
        )
        request.conditions = conditions
        request.prepare = picture.prepare ?? (task == nil ? .resize : .none)
        request.posterior = picture.posterior ?? task?.posterior ?? .mode
        request.noise = picture.noise ?? .float32
        // In a task file, 0 stands for the tokenizer's own length.
        request.maxTextTokens =
            picture.maxTextTokens ?? (task?.max_text_tokens == 0 ? nil : task?.max_text_tokens)
        request.stepCache = picture.stepCache ?? 0
        return request
    }
}
