import ArgumentParser
import Diffusion
import FoundationEssentials
import Networks
import Tensors

/// `dreamfarm bench`: how fast this machine is.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure this machine.",
        subcommands: [Engine.self, Kernels.self, Layers.self]
    )

    enum Format: String, ExpressibleByArgument, CaseIterable { case text, json }

    struct Kernels: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Time matrix products with their epilogues, and attention, in FLUX's sizes."
        )

        @Option(help: "How many rows of activations.")
        var tokens = 2560

        @Option(help: "\(RenderPrecision.help)")
        var precision: RenderPrecision = .fastest

        @Option(help: "Threads to compute with. Without it, one a processor.")
        var threads: Int?

        @Option(help: "How many timed runs, after one that is not counted.")
        var runs = 5

        @Option(name: [.short, .customLong("format")], help: "text or json.")
        var o: Format = .text

        func validate() throws {
            try BenchCommand.check([
                ("tokens", tokens, 1...1_000_000), ("threads", threads ?? 1, 1...1024),
                ("runs", runs, 1...10_000),
            ])
        }

        func run() throws {
            let result = KernelBenchmark(
                precision: precision.precision ?? .fastest,
                compute: Compute(threads: threads),
                tokens: tokens,
                runs: runs
            ).run()
            print(o == .json ? try result.json() : result.text)
        }
    }

    /// Refuses values out of range.
    static func check(_ options: [(name: String, value: Int, range: ClosedRange<Int>)]) throws {
        for (name, value, range) in options where !range.contains(value) {
            throw ValidationError(
                "--\(name) \(value) is out of range: from \(range.lowerBound) to "
                    + "\(range.upperBound)"
            )
        }
    }

    struct Engine: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Time the transformer's blocks, the ones that render calls.",
            discussion: """
                Without --weights the weights are random, without --input so are the tokens. An \
                input file holds text (tokens, hidden), image (tokens, hidden), temb (1, hidden) \
                before its SiLU, rope_cos and rope_sin (tokens, head width), a value a channel. \
                --dump writes the stream after the last timed pass as output (tokens, hidden).
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

        @Option(help: "Threads to compute with. Without it, one a processor.")
        var threads: Int?

        @Option(help: "How many timed passes, after one that is not counted.")
        var runs = 5

        @Option(help: "A folder with a transformer's weights in the diffusers layout.")
        var weights: String?

        @Option(help: "A safetensors file with the tokens.")
        var input: String?

        @Option(help: "A safetensors file to write the result to.")
        var dump: String?

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
            guard ModelGeometry.named.contains(where: { $0.name == geometry }) else {
                throw ValidationError(
                    "--geometry '\(geometry)' is unknown: "
                        + ModelGeometry.named.map(\.name).joined(separator: ", ")
                )
            }
        }

        func run() throws {
            guard let sizes = ModelGeometry.named.first(where: { $0.name == geometry }) else {
                return
            }
            var configuration = sizes.geometry.transformer
            configuration.numLayers = double
            configuration.numSingleLayers = single
            let benchmark = EngineBenchmark(
                configuration: configuration,
                precision: precision.precision ?? .fastest,
                compute: Compute(threads: threads)
            )
            let source: any ParameterSource =
                try weights.map { DiffusersSource(try SafetensorsSet(folder: $0)) }
                ?? NoiseSource(seed: 0)
            let stream =
                try input.map { try EngineBenchmark.Stream(path: $0, configuration) }
                ?? EngineBenchmark.Stream(configuration, tokens: tokens, textTokens: textTokens)
            StandardError.write("packing \(double) double and \(single) single blocks\n")
            let result = try benchmark.run(source, stream, runs: runs)
            if let dump { try result.output.write(to: dump) }
            print(o == .json ? try result.json() : result.text)
        }
    }
}
