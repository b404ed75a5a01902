import ArgumentParser
import Diffusion
import FoundationEssentials
import Tensors

extension BenchCommand {
    /// `dreamfarm bench layers`.
    struct Layers: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Tell what each layer of a model loses in other precisions.",
            discussion: """
                Computes a picture's conditions and its first step in float32, and each layer's \
                outputs from the same inputs in every precision besides: the error is the layer's \
                own, as |difference| / |outputs|. Read them as which layers stand out, not as a \
                picture's error.
                """
        )

        @OptionGroup(title: "Model") var model: ModelOptions
        @OptionGroup(title: "Picture") var picture: PictureOptions

        @Option(name: [.short, .customLong("format")], help: "text or json.")
        var o: Format = .text

        func validate() throws {
            guard model.precision == .fastest || model.precision == .float32 else {
                throw ValidationError("the layers run in float32; leave --precision out")
            }
        }

        func run() async throws {
            let table = try await measure()
            print(o == .json ? try table.json() : table.text)
        }

        /// Computes a step and measures the layers in it.
        func measure() async throws -> LayerTable {
            var model = model
            model.precision = .float32
            // no picture is written
            let output = try OutputOptions.parse(["--output", "/dev/null"])
            let plan = try RenderPlan(model: model, picture: picture, output: output)
            let log: (String) -> Void = { StandardError.write("\($0)\n") }
            let pipeline = try await plan.makePipeline(log: log)
            let probe = ProductProbe(Precision.allCases.filter { $0 != .float32 })
            pipeline.observe(probe)
            for job in try plan.jobs(for: pipeline, log: log).prefix(1) {
                do {
                    _ = try pipeline.render(job.request) { _ in throw Enough() }
                } catch is Enough {}
            }
            return LayerTable(probe)
        }

        /// Ends the render after its first step.
        private struct Enough: Error {}
    }
}

/// The errors of a network's layers.
struct LayerTable {
    private let precisions: [String]
    private let rows: [ProductProbe.Row]

    init(_ probe: ProductProbe) {
        precisions = probe.precisions.map(\.rawValue)
        rows = probe.rows
    }

    /// A line a layer, then the medians and the greatest.
    var text: String {
        let names = rows.map { Self.short($0.name) }
        let width = names.map(\.count).max() ?? 0
        func line(_ name: String, _ size: String, _ cells: [String]) -> String {
            func padded(_ text: String, _ width: Int) -> String {
                text + String(repeating: " ", count: max(0, width - text.count))
            }
            return "\(padded(name, width))  \(padded(size, 13))"
                + cells.map { "  \(padded($0, 8))" }.joined()
        }
        func percent(_ error: Double) -> String {
            "\((error * 10_000).rounded() / 100) %"
        }
        let columns = precisions.indices.map { column in rows.map { $0.errors[column] }.sorted() }
        return
            ([line("layer", "inputs→outputs", precisions)]
            + zip(names, rows).map { name, row in
                line(name, "\(row.inputs)→\(row.outputs)", row.errors.map(percent))
            }
            + [
                line("median", "", columns.map { percent($0.isEmpty ? 0 : $0[$0.count / 2]) }),
                line("greatest", "", columns.map { percent($0.last ?? 0) }),
            ]).joined(separator: "\n")
    }

    /// A name without what its parts share: `attn.to_k+to_v+to_q`.
    private static func short(_ name: String) -> String {
        let parts = name.split(separator: "+")
        let rest = parts.dropFirst().map { $0.split(separator: ".").last ?? $0 }
        return (parts.prefix(1) + rest).joined(separator: "+")
    }

    func json() throws -> String {
        struct Layer: Encodable {
            let name: String
            let inputs: Int
            let outputs: Int
            let errors: [String: Double]
        }
        let layers = rows.map { row in
            Layer(
                name: row.name,
                inputs: row.inputs,
                outputs: row.outputs,
                errors: Dictionary(uniqueKeysWithValues: zip(precisions, row.errors))
            )
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(layers), as: UTF8.self)
    }
}
