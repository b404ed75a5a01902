import ArgumentParser
import Diffusion
import Tensors

/// `dreamfarm model`: look at models and make them.
struct ModelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "model",
        abstract: "Look at a model directory, or make one.",
        subcommands: [Inspect.self, Random.self, Assemble.self, Quantize.self]
    )

    struct Inspect: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show a model's parts, sizes, adapters, memory needed and digest."
        )

        enum Format: String, ExpressibleByArgument, CaseIterable { case text, json }

        @Argument(help: "The model's directory, or one transformer file in it.")
        var directory: String

        @Option(help: "A directory for the parts that the first one lacks.")
        var parts: String?

        @Option(name: [.short, .customLong("format")], help: "text or json.")
        var o: Format = .text

        func run() async throws {
            let model = try ModelDirectory(path: directory, parts: parts)
            let inspection = try await ModelInspection(model)
            print(o == .json ? try inspection.json() : inspection.text)
        }
    }

    struct Random: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write a model with random weights and working tokenizers."
        )

        @Option(
            help: """
                The sizes of its networks: \
                \(ModelGeometry.named.map(\.name).joined(separator: ", ")).
                """
        )
        var geometry = "tiny"

        @Option(help: "The seed of its weights.")
        var seed: UInt64 = 0

        @Option(help: "diffusers or bfl.")
        var layout: ModelDirectory.Layout = .diffusers

        @Option(help: "float32 or bfloat16.")
        var dtype: WeightType = .float32

        @Option(help: "The directory to make.")
        var out: String

        @Option(help: "Pack transformer and T5 in this precision: bfloat16, int8 or int4.")
        var precision: PackedPrecision?

        enum WeightType: String, ExpressibleByArgument, CaseIterable { case float32, bfloat16 }

        func run() throws {
            let named = ModelGeometry.named.first { $0.name == geometry }
            guard let sizes = named?.geometry else {
                let names = ModelGeometry.named.map(\.name).joined(separator: ", ")
                throw ValidationError("no geometry '\(geometry)'; known are \(names)")
            }
            let model = RandomModel(
                geometry: sizes,
                seed: seed,
                layout: layout,
                type: dtype == .bfloat16 ? .bfloat16 : .float32,
                packing: precision?.precision
            )
            let interruption = Interruption()
            try model.write(to: out) { try interruption.check() }
            print(out)
        }
    }

    struct Assemble: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a model directory from single files and DreamO's downloads."
        )

        @Option(help: "flux1-dev.safetensors, a diffusers file, or its folder.")
        var transformer: String

        @Option(name: .customLong("ae"), help: "ae.safetensors, a diffusers file, or its folder.")
        var autoencoder: String

        @Option(help: "clip_l.safetensors, or a text encoder's folder.")
        var clip: String

        @Option(help: "t5xxl_fp16.safetensors, or a text encoder's folder.")
        var t5: String

        @Option(help: "A folder with tokenizer and tokenizer_2.")
        var tokenizers: String

        @Option(help: "A folder with DreamO's downloads; plain FLUX without it.")
        var dreamo: String?

        @Option(help: "The directory to make.")
        var out: String

        func run() throws {
            let assembly = ModelAssembly(
                transformer: transformer,
                autoencoder: autoencoder,
                clip: clip,
                t5: t5,
                tokenizers: tokenizers,
                dreamo: dreamo
            )
            let interruption = Interruption()
            let model = try assembly.write(to: out) { try interruption.check() }
            print("\(model.path): \(model.layout.rawValue) layout")
        }
    }
}

extension ModelDirectory.Layout: ExpressibleByArgument {}
