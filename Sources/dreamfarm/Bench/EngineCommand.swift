import ArgumentParser
import Diffusion
import FoundationEssentials
import Networks
import Tensors

extension BenchCommand {
    /// `dreamfarm bench engine`.
    struct Engine: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Time the transformer's blocks, the ones that render calls.",
            discussion: """
                Without --weights the weights are random, without --input so are the tokens. An \
                input file holds text (tokens, hidden), image (tokens, hidden), temb (1, hidden) \
                before its SiLU, rope_cos and rope_sin (tokens, head width), a value a channel. \
                --dump writes the stream after the last timed pass as output (tokens, hidden).

                With --ranks the blocks are split over a group: over threads of this process, or, \
                with --rank and --rendezvous, over processes that are started with the same \
                options, each with its rank. Passes begin together; what is told are rank 0's.
                """
        )

        @Option(
            help: """
                The sizes: \(ModelGeometry.named.map(\.name).joined(separator: ", ")).
                """
        )
        var geometry = "flux-dev"

        @Option(help: "How many double blocks.")
        var double = 1

        @Option(help: "How many single blocks.")
        var single = 1

        @Option(help: "How many tokens, text and picture together.")
        var tokens = 2560

        @Option(name: .customLong("text-tokens"), help: "How many of them are text.")
        var textTokens = 512

        @Option(help: "\(RenderPrecision.help)")
        var precision: RenderPrecision = .fastest

        @Option(help: "Threads that a rank computes with. Without it, all share the processors.")
        var threads: Int?

        @Option(help: "How many timed passes, after one that is not counted.")
        var runs = 5

        @Option(help: "A folder with a transformer's weights in the diffusers layout.")
        var weights: String?

        @Option(help: "A safetensors file with the tokens.")
        var input: String?

        @Option(help: "A safetensors file to write the result to.")
        var dump: String?

        @OptionGroup(title: "Group") var group: EngineGroupOptions

        @Option(name: [.short, .customLong("format")], help: "text or json.")
        var o: Format = .text

        func validate() throws {
            try BenchCommand.check([
                ("double", double, 0...1000), ("single", single, 0...1000),
                ("tokens", tokens, 1...1_000_000),
                ("text-tokens", textTokens, 0...max(0, tokens)),
                ("threads", threads ?? 1, 1...1024), ("runs", runs, 1...10_000),
            ])
            guard double + single > 0 else {
                throw ValidationError("--double 0 with --single 0 leaves nothing to time")
            }
            guard let sizes = ModelGeometry.named.first(where: { $0.name == geometry }) else {
                throw ValidationError(
                    "--geometry '\(geometry)' is unknown: "
                        + ModelGeometry.named.map(\.name).joined(separator: ", ")
                )
            }
            try group.check(heads: sizes.geometry.transformer.numAttentionHeads)
        }

        func run() throws {
            guard let sizes = ModelGeometry.named.first(where: { $0.name == geometry }) else {
                return
            }
            var configuration = sizes.geometry.transformer
            configuration.numLayers = double
            configuration.numSingleLayers = single
            let source: any ParameterSource =
                try weights.map { DiffusersSource(try SafetensorsSet(folder: $0)) }
                ?? NoiseSource(seed: 0)
            let precision = precision.precision ?? .fastest
            StandardError.write("packing \(double) double and \(single) single blocks\n")
            guard !group.weightsOnly else {
                let weights = try RankWeights(
                    configuration,
                    from: LayerReader(
                        source,
                        precision: precision,
                        threads: threads ?? Compute.availableProcessors,
                        shard: Shard(rank: group.rank ?? 0, size: group.ranks)
                    )
                )
                return print(o == .json ? try weights.json() : weights.text)
            }
            let stream =
                try input.map { try EngineBenchmark.Stream(path: $0, configuration) }
                ?? EngineBenchmark.Stream(configuration, tokens: tokens, textTokens: textTokens)
            let benchmark = GroupBenchmark(
                configuration: configuration,
                precision: precision,
                threads: threads ?? max(1, Compute.availableProcessors / group.sharing),
                runs: runs
            )
            guard let result = try benchmark.run(source, stream, group) else { return }
            if let dump { try result.output.write(to: dump) }
            print(o == .json ? try result.json() : result.text)
        }
    }
}

/// How `dreamfarm bench engine` splits the blocks over a group.
struct EngineGroupOptions: ParsableArguments {
    @Option(help: "How many ranks share the blocks.")
    var ranks = 1

    @Option(help: "This process's rank, where each rank is a process of its own.")
    var rank: Int?

    @Option(help: "A folder where the processes of a group find each other; empty before.")
    var rendezvous: String?

    @Option(help: "The interface, or its address, where the other processes reach this one.")
    var interface = "127.0.0.1"

    @Option(
        help: "Seconds of a pass with --ranks 1, from which the group's is predicted."
    )
    var alone: Double?

    @Flag(
        name: .customLong("weights-only"),
        help: "Read what a rank has of a whole transformer, tell its size, and compute nothing."
    )
    var weightsOnly = false

    /// How many ranks compute on this machine's processors, as far as this process knows.
    var sharing: Int { rank == nil ? ranks : 1 }

    /// Refuses a group that cannot be.
    func check(heads: Int) throws {
        try BenchCommand.check([
            ("ranks", ranks, 1...heads), ("rank", rank ?? 0, 0...max(0, ranks - 1)),
        ])
        guard weightsOnly || (rank == nil) == (rendezvous == nil) else {
            throw ValidationError("--rank and --rendezvous go together")
        }
        guard alone.map({ $0 > 0 && $0.isFinite }) ?? true else {
            throw ValidationError("--alone is the seconds of a pass")
        }
    }
}
