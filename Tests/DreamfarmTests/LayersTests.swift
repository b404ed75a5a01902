import ArgumentParser
import Diffusion
import Foundation
import Networks
import Tensors
import Testing

@testable import dreamfarm

/// `dreamfarm bench layers`: what each layer loses in other precisions.
@Suite
struct LayersTests {
    private struct Layer: Decodable {
        let name: String
        let inputs: Int
        let outputs: Int
        let errors: [String: Double]
    }

    @Test("every layer of the transformer is in the table once, with errors of its own")
    func table() async throws {
        let folder = try TaskFolder()
        let model = "\(folder.path)/model"
        try RandomModel(geometry: .tiny, seed: 2, layout: .diffusers, type: .float32)
            .write(to: model)
        let command = try BenchCommand.Layers.parse([
            "--model", model, "--prompt", "a cat", "--size", "32x32", "--seed", "1",
        ])
        let table = try await command.measure()
        let layers = try JSONDecoder().decode([Layer].self, from: Data(table.json().utf8))
        #expect(table.text.split(separator: "\n").count == layers.count + 3)
        #expect(Set(layers.map(\.name)).count == layers.count)
        let c = ModelGeometry.tiny.transformer
        let blocks = layers.filter { $0.name.contains("transformer_blocks") }
        #expect(blocks.count == 10 * c.numLayers + 4 * c.numSingleLayers)
        for layer in blocks {
            #expect(Set(layer.errors.keys) == ["bfloat16", "int8", "int4"])
            let errors = [layer.errors["bfloat16"], layer.errors["int8"], layer.errors["int4"]]
                .map { $0 ?? 0 }
            #expect(errors[0] > 1e-5 && errors == errors.sorted() && errors[2] < 0.3, "\(layer)")
        }
    }

    @Test("another precision than float32 is refused, and why")
    func precision() {
        #expect(throws: (any Error).self) {
            try BenchCommand.Layers.parse([
                "--model", "m", "--prompt", "a cat", "--precision", "int8",
            ])
        }
    }
}
