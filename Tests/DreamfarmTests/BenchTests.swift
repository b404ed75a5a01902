import ArgumentParser
import Diffusion
import FoundationEssentials
import Networks
import Tensors
import Testing

@testable import dreamfarm

/// `dreamfarm bench engine`: that what it times is what render computes.
@Suite
struct BenchTests {
    private static let geometry = ModelGeometry.tiny.transformer

    private func write(
        _ path: String,
        _ tensors: [(name: String, shape: [Int], values: [Float])]
    ) throws {
        let writer = try SafetensorsWriter(
            path: path,
            tensors: tensors.map { .init(name: $0.name, type: .float32, shape: $0.shape) }
        )
        for tensor in tensors {
            try tensor.values.withUnsafeBufferPointer { try writer.write($0, as: .float32) }
        }
        try writer.finish()
    }

    private func noise(_ name: String, _ count: Int) -> [Float] {
        [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
            let values = UnsafeMutableBufferPointer(rebasing: buffer[..<count])
            values.initialize(repeating: 0)
            NoiseSource(seed: 5).read(name, shape: [count, 1], into: values)
            initialized = count
        }
    }

    @Test(
        "the dump is the stream after given blocks on given tokens",
        arguments: Precision.allCases
    )
    func dump(_ precision: Precision) throws {
        let folder = try TaskFolder()
        let c = Self.geometry
        let model = "\(folder.path)/model"
        try RandomModel(geometry: .tiny, seed: 2, layout: .diffusers, type: .float32)
            .write(to: model)
        let (text, image) = (7, 12)
        let positions = (0..<image).map { TokenPosition(row: $0 / 4, column: $0 % 4) }
        let rope = RotaryTable(
            positions: [TokenPosition](repeating: .text, count: text) + positions,
            axes: c.axesDimsRope
        )
        func channels(_ table: Tensor) -> [Float] { table.values.flatMap { [$0, $0] } }
        let input = "\(folder.path)/input.safetensors"
        let tokens = [noise("text", text * c.hidden), noise("image", image * c.hidden)]
        let temb = noise("temb", c.hidden)
        try write(
            input,
            [
                ("text", [text, c.hidden], tokens[0]), ("image", [image, c.hidden], tokens[1]),
                ("temb", [1, c.hidden], temb),
                ("rope_cos", [text + image, c.attentionHeadDim], channels(rope.cosine)),
                ("rope_sin", [text + image, c.attentionHeadDim], channels(rope.sine)),
            ]
        )
        let output = "\(folder.path)/output.safetensors"
        let command = try BenchCommand.Engine.parse([
            "--geometry", "tiny", "--double", "\(c.numLayers)", "--single",
            "\(c.numSingleLayers)", "--precision", precision.rawValue, "--threads", "2", "--runs",
            "2", "--weights", "\(model)/transformer", "--input", input, "--dump", output,
        ])
        try command.run()

        let compute = Compute(threads: 1)
        let blocks = try FluxBlockStack(
            c,
            from: LayerReader(DiffusersSource(try SafetensorsSet(folder: "\(model)/transformer")))
        )
        let x = Tensor(rows: text + image, columns: c.hidden, values: tokens[0] + tokens[1])
        let vec = Tensor(rows: 1, columns: c.hidden, values: temb)
        compute.activate(vec, .silu)
        blocks(
            x,
            text: 0..<text,
            modulation: blocks.modulation(vec, in: compute),
            step: 0,
            rope: rope,
            in: compute
        )
        let dumped = try SafetensorsFile(path: output).values(of: "output")
        let expected = x.values
        let error = zip(dumped, expected).reduce(0.0) { sum, pair in
            sum + Double((pair.0 - pair.1) * (pair.0 - pair.1))
        }
        let size = expected.reduce(0.0) { $0 + Double($1 * $1) }
        let bound =
            switch precision {
            case .float32: 1e-6
            case .bfloat16: 1e-2
            case .int8: 2e-2
            case .int4: 0.15
            }
        #expect((error / size).squareRoot() < bound)
    }

    @Test("the result says what was measured")
    func result() throws {
        let compute = Compute(threads: 1)
        let benchmark = EngineBenchmark(
            configuration: Self.geometry,
            precision: .float32,
            compute: compute
        )
        let stream = EngineBenchmark.Stream(Self.geometry, tokens: 20, textTokens: 4)
        let result = try benchmark.run(NoiseSource(seed: 0), stream, runs: 3)
        #expect(result.passes.count == 3 && result.passes.contains(result.seconds))
        #expect(result.tokens == 20 && result.precision == "float32" && result.threads == 1)
        let json = try JSONDecoder().decode(Shown.self, from: Data(result.json().utf8))
        #expect(json.seconds == result.seconds && json.gflops > 0)
        #expect(json.peak_share > 0)
    }

    private struct Shown: Decodable {
        let seconds: Double
        let gflops: Double
        let peak_share: Double
    }

    @Test(
        "what cannot be measured is refused by name",
        arguments: [
            ["--tokens", "0"], ["--runs", "0"], ["--threads", "-1"], ["--geometry", "vast"],
            ["--double", "0", "--single", "0"], ["--precision", "int3"],
            ["--tokens", "10", "--text-tokens", "11"], ["--ranks", "0"], ["--ranks", "25"],
            ["--ranks", "2", "--rank", "2", "--rendezvous", "/tmp/none"],
            ["--ranks", "2", "--rank", "1"], ["--ranks", "2", "--rendezvous", "/tmp/none"],
            ["--ranks", "2", "--alone", "0"],
        ]
    )
    func refusals(_ arguments: [String]) {
        #expect(throws: (any Error).self) { try BenchCommand.Engine.parse(arguments) }
    }
}
