import Foundation
import GoldenSupport
import Imaging
import Networks
import Tensors
import Testing

@testable import Diffusion

/// Models whose weights were packed and saved.
@Suite
struct PackedModelTests {
    private func pipeline(
        _ path: String,
        _ golden: Golden,
        _ precision: Precision?,
        loras: [AdapterSelection.Lora] = []
    ) async throws -> RenderPipeline {
        let directory = try ModelDirectory(path: path)
        var selection = try golden.selection()
        selection.loras = loras
        return try RenderPipeline(
            model: directory,
            digest: try await directory.baseDigest(),
            selection: selection,
            precision: precision,
            compute: Compute(threads: 2)
        )
    }

    private func pack(
        _ golden: Golden,
        _ precision: Precision,
        _ folder: GoldenFolder
    ) async throws -> String {
        let model = try ModelDirectory(path: golden.model)
        let path = "\(folder.path)/packed"
        try ModelPacking(precision, threads: 2).write(
            model,
            digest: try await model.baseDigest(),
            selection: try golden.selection(),
            to: path
        )
        return path
    }

    @Test(
        "its pictures are the files that the model itself gives",
        arguments: Golden.all,
        [Precision.bfloat16, .int8, .int4]
    )
    func pictures(_ golden: Golden, _ precision: Precision) async throws {
        let folder = try GoldenFolder()
        let path = try await pack(golden, precision, folder)
        let plain = try await pipeline(golden.model, golden, precision)
        let packed = try await pipeline(path, golden, nil)
        #expect(packed.precision == precision)
        #expect(packed.digest == plain.digest)
        let expected = try plain.render(golden.request())
        #expect(try packed.render(golden.request()).png == expected.png)
        #expect("\(packed.numericClass)" == "\(plain.numericClass)")
        #expect("\(packed.numericClass)".hasSuffix("/\(precision)"))
    }

    @Test("it is used as it was packed, or not at all")
    func refusals() async throws {
        let golden = Golden.all[0]
        let folder = try GoldenFolder()
        let path = try await pack(golden, .int8, folder)
        await #expect(throws: ModelError.self) { try await pipeline(path, golden, .bfloat16) }
        let directory = try ModelDirectory(path: path)
        let digest = try await directory.baseDigest()
        #expect(throws: ModelError.self) {
            try RenderPipeline(
                model: directory,
                digest: digest,
                selection: AdapterSelection(dreamO: .none),
                precision: nil,
                compute: Compute(threads: 1)
            )
        }
        #expect(throws: ModelError.self) {
            try ModelPacking(.bfloat16, threads: 1).write(
                directory,
                digest: digest,
                selection: try golden.selection(),
                to: "\(folder.path)/again"
            )
        }
        #expect(!FileManager.default.fileExists(atPath: "\(folder.path)/again"))
    }

    @Test("a file that was cut or says other sizes is named")
    func damage() async throws {
        let golden = Golden.all[0]
        let folder = try GoldenFolder()
        let path = try await pack(golden, .int8, folder)
        let file = "\(path)/transformer/diffusion_pytorch_model.safetensors"
        let bytes = try Data(contentsOf: URL(filePath: file))
        let text = Array("int8 ".utf8)
        let place = try #require(bytes.firstRange(of: text))
        var changed = bytes
        changed.replaceSubrange(place, with: Array("int3 ".utf8))
        try changed.write(to: URL(filePath: file))
        #expect(throws: SafetensorsError.self) { try ModelDirectory(path: path) }
        try bytes.dropLast(64).write(to: URL(filePath: file))
        #expect(throws: SafetensorsError.self) { try ModelDirectory(path: path) }
    }

    @Test("a random model can be packed when it is made")
    func random() async throws {
        let folder = try GoldenFolder()
        let geometry = ModelGeometry.tiny
        var pictures: [[UInt8]] = []
        for packing in [nil, Precision.int8] {
            let path = "\(folder.path)/\(packing.map { "\($0)" } ?? "plain")"
            try RandomModel(
                geometry: geometry,
                seed: 3,
                layout: .diffusers,
                type: .bfloat16,
                packing: packing
            ).write(to: path)
            let directory = try ModelDirectory(path: path)
            let pipeline = try RenderPipeline(
                model: directory,
                digest: try await directory.baseDigest(),
                selection: AdapterSelection(),
                precision: .int8,
                compute: Compute(threads: 2)
            )
            let request = RenderRequest(
                prompt: "a toy",
                width: 64,
                height: 64,
                steps: 2,
                guidance: 3.5,
                seed: 1,
                refRes: 64
            )
            pictures.append(try pipeline.render(request).image.pixels)
        }
        #expect(pictures[0] == pictures[1])
    }
}

/// Pictures below float32 beside those of the reference precision.
@Suite
struct PrecisionPictureTests {
    /// The peak signal-to-noise ratio of 8-bit pictures, in decibels.
    private func ratio(_ one: [UInt8], _ other: [UInt8]) -> Double {
        let squares = zip(one, other).reduce(0.0) { $0 + pow2(Double($1.0) - Double($1.1)) }
        return squares == 0 ? .infinity : 10 * log10(255 * 255 * Double(one.count) / squares)
    }

    private func pow2(_ value: Double) -> Double { value * value }

    @Test(
        "a precision's pictures are near the reference's, and the same for any thread count",
        arguments: Golden.all
    )
    func near(_ golden: Golden) async throws {
        let directory = try ModelDirectory(path: golden.model)
        let digest = try await directory.baseDigest()
        func picture(_ precision: Precision, threads: Int) throws -> [UInt8] {
            try RenderPipeline(
                model: directory,
                digest: digest,
                selection: golden.selection(),
                precision: precision,
                compute: Compute(threads: threads)
            ).render(golden.request()).image.pixels
        }
        let reference = try picture(.float32, threads: 1)
        for (precision, bound) in [(Precision.bfloat16, 35.0), (.int8, 25)] {
            let one = try picture(precision, threads: 1)
            #expect(ratio(one, reference) > bound)
            for threads in 2...3 {
                #expect(try picture(precision, threads: threads) == one)
            }
        }
    }
}
