import ArgumentParser
import Diffusion

/// Which model, with which adapters.
struct ModelOptions: ParsableArguments {
    @Option(help: "The model's directory, or BFL's transformer file in it.")
    var model: String

    @Option(help: "A directory for the parts that the model's lacks.")
    var parts: String?

    @Option(help: "DreamO's adapters: v1, v1.1 or none. Without it, those that are there.")
    var adapters: String?

    @Flag(name: .customLong("no-turbo"), help: "Leave the turbo adapter out.")
    var noTurbo = false

    @Option(help: "A LoRA of your own, with a weight if not 1: FILE[:WEIGHT]. Repeatable.")
    var lora: [String] = []

    @Option(help: "\(RenderPrecision.help)")
    var precision: RenderPrecision = .fastest

    @Option(help: "Threads to compute with, in a group each rank. Without it, one a processor.")
    var threads: Int?

    @Option(help: "Render as a group of so many workers does, its ranks on this machine.")
    var ranks = 1

    func validate() throws {
        if !(1...64).contains(ranks) {
            throw ValidationError("--ranks \(ranks) is out of range: from 1 to 64")
        }
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads \(threads) is out of range: from 1 to 1024")
        }
    }
}

/// What determines the picture; what is left out comes from the task file, else from the model.
struct PictureOptions: ParsableArguments {
    @Option(help: "A task file with these settings as JSON; options override it.")
    var task: String?

    @Option(help: "What to show; - reads it from standard input. Repeatable.")
    var prompt: [String] = []

    @Option(
        help: "A reference picture: FILE:TASK[:SLOT], TASK one of ip, id, style. Repeatable."
    )
    var reference: [String] = []

    @Option(help: "WIDTHxHEIGHT in pixels, multiples of 16.")
    var size: PictureSize?

    @Option(help: "How many denoising steps.")
    var steps: Int?

    @Option(help: "Distilled guidance.")
    var guidance: Float?

    @Option(help: "Distilled guidance of the first step; 0 for --guidance.")
    var firstStepGuidance: Float?

    @Option(help: "The plain branch's prompt under true CFG.")
    var negativePrompt: String?

    @Option(help: "True CFG: SCALE:START:END, for steps START to END - 1.")
    var trueCfg: TrueCFGOption?

    @Option(help: "Distilled guidance of the plain branch under true CFG.")
    var negativeGuidance: Float?

    @Option(help: "The noise's seed. Repeatable. Without it, a random one, which is printed.")
    var seed: [UInt64] = []

    @Option(help: "How many pictures a prompt, with seeds that follow each other.")
    var count = 1

    @Option(help: "What is done to references: none or resize.")
    var prepare: Preparation?

    @Option(help: "Side of the square whose area a resized reference gets, in pixels.")
    var refRes: Int?

    @Option(help: "What stands for a reference: the posterior's mode, or a sample.")
    var posterior: Posterior?

    @Option(help: "The precision the initial noise is drawn in: float32 or bfloat16.")
    var noise: NoisePrecision?

    @Option(
        help: """
            Leave out most of a step that is like the one before: how like its first block must \
            be, 0 to 1. 0, the standard, computes every step; 0.12 is a beginning.
            """
    )
    var stepCache: Float?

    @Option(help: "Text tokens T5 sees, at most 512.")
    var maxTextTokens: Int?

    func validate() throws {
        if task == nil, prompt.isEmpty {
            throw ValidationError("give --prompt TEXT, or --task FILE with a prompt in it")
        }
        if !(1...100_000).contains(count) {
            throw ValidationError("--count \(count) is out of range: from 1 to 100000")
        }
    }
}

/// Where pictures go.
struct OutputOptions: ParsableArguments {
    @Option(
        help: """
            The PNG file to write; with several pictures, names are derived from it. - writes the one \
            picture to standard output.
            """
    )
    var output = "out.png"

    @Flag(help: "With --output -, write the picture's bytes to a terminal too.")
    var force = false

    @OptionGroup var showing: ShowOptions

    @Option(help: "A safetensors file for every intermediate value of the picture.")
    var dump: String?

    @Option(help: "Write a preview beside the output every so many steps.")
    var previewEvery: Int?

    func validate() throws {
        if let previewEvery, previewEvery < 1 {
            throw ValidationError("--preview-every \(previewEvery) is out of range: 1 or more")
        }
        if previewEvery != nil, output == StandardOutput.name {
            throw ValidationError(
                "--preview-every writes beside the output, which --output - has not: give it a file"
            )
        }
    }
}

/// A size such as `1024x768`.
struct PictureSize: ExpressibleByArgument, Equatable {
    let width: Int
    let height: Int

    init?(argument: String) {
        let sides = argument.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
        guard sides.count == 2, let width = sides[0], let height = sides[1] else { return nil }
        self.width = width
        self.height = height
    }

    var defaultValueDescription: String { "\(width)x\(height)" }
}

/// True CFG's scale and window, such as `2:0:6`.
struct TrueCFGOption: ExpressibleByArgument, Equatable {
    let scale: Float
    let start: Int
    let end: Int

    init?(argument: String) {
        let parts = argument.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, let scale = Float(parts[0]), let start = Int(parts[1]),
            let end = Int(parts[2])
        else { return nil }
        self.scale = scale
        self.start = start
        self.end = end
    }
}

extension Preparation: ExpressibleByArgument {}
extension Posterior: ExpressibleByArgument {}
extension NoisePrecision: ExpressibleByArgument {}
