import ArgumentParser
import Diffusion
import Tensors

extension ModelCommand {
    /// `dreamfarm model quantize`.
    struct Quantize: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write a model with packed weights, which loads by mapping its files.",
            discussion: """
                DreamO's adapters are merged before the weights are rounded; LoRAs of your own are \
                given to render and to jobs as ever. Pictures of the packed model are the files \
                that the model itself gives in the same precision.
                """
        )

        @Argument(help: "The model's directory, or BFL's transformer file in it.")
        var model: String

        @Option(help: "A directory for the parts that the model's lacks.")
        var parts: String?

        @Option(help: "bfloat16, int8 or int4.")
        var precision: PackedPrecision = .int8

        @Option(help: "DreamO's adapters: v1, v1.1 or none. Without it, those that are there.")
        var adapters: String?

        @Flag(name: .customLong("no-turbo"), help: "Leave the turbo adapter out.")
        var noTurbo = false

        @Option(help: "The directory to make.")
        var out: String

        func run() async throws {
            let directory = try ModelDirectory(path: model, parts: parts)
            let threads = Compute.availableProcessors
            let interruption = Interruption()
            StandardError.write("digesting \(model)\n")
            let digest = try await directory.baseDigest(threads: threads, cache: .standard)
            let packing = ModelPacking(precision.precision, threads: threads) {
                StandardError.write("\($0)\n")
            }
            try packing.write(
                directory,
                digest: digest,
                selection: AdapterSelection(
                    dreamO: try adapters.map { try AdapterSelection.choice(named: $0) }
                        ?? .available,
                    usesTurbo: !noTurbo
                ),
                to: out
            ) { try interruption.check() }
            print(out)
        }
    }
}

/// A precision that weights are saved in.
enum PackedPrecision: String, ExpressibleByArgument, CaseIterable {
    case bfloat16, int8, int4

    var precision: Precision {
        switch self {
        case .bfloat16: .bfloat16
        case .int8: .int8
        case .int4: .int4
        }
    }
}
