import ArgumentParser
import Diffusion
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
}
