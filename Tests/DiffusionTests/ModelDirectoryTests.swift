import Diffusion
import FoundationEssentials
import Networks
import Tensors
import Testing

@Suite("A model directory")
struct ModelDirectoryTests {
    private let folder: TestFolder

    /// A folder of one test's models, removed with the value.
    private final class TestFolder {
        let path: String

        init() throws {
            path = FileManager.default.temporaryDirectory.path + "/model-\(UUID().uuidString)"
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        }

        deinit {
            try? FileManager.default.removeItem(atPath: path)
        }

        /// A tiny random model.
        func model(
            _ name: String,
            layout: ModelDirectory.Layout = .diffusers,
            seed: UInt64 = 3,
            type: SafetensorsType = .float32,
            guidance: Bool = true
        ) throws -> String {
            var geometry = ModelGeometry.tiny
            geometry.transformer.guidanceEmbeds = guidance
            geometry.autoencoder.blockOutChannels = [16, 32, 16]
            geometry.autoencoder.normNumGroups = 8
            geometry.autoencoder.layersPerBlock = 1
            let model = RandomModel(geometry: geometry, seed: seed, layout: layout, type: type)
            try model.write(to: "\(path)/\(name)")
            return "\(path)/\(name)"
        }

        func edit(_ file: String, _ change: (String) -> String) throws {
            let url = URL(filePath: file)
            let text = String(decoding: try Data(contentsOf: url), as: UTF8.self)
            try FileManager.default.removeItem(at: url)
            try Data(change(text).utf8).write(to: url)
        }
    }

    init() throws {
        folder = try TestFolder()
    }

    private func values(
        _ source: any ParameterSource,
        _ parameter: ModelParameter
    ) throws
        -> [Float]
    {
        var values = [Float](repeating: .nan, count: parameter.count)
        try values.withUnsafeMutableBufferPointer {
            try source.read(parameter.name, shape: parameter.shape, into: $0)
        }
        return values
    }

    @Test(
        "BFL's layout gives the same tensors as the diffusers layout",
        arguments: [true, false],
        [SafetensorsType.float32, .bfloat16]
    )
    func layouts(guidance: Bool, type: SafetensorsType) throws {
        let first = try ModelDirectory(path: folder.model("a", type: type, guidance: guidance))
        let second = try ModelDirectory(
            path: folder.model("b", layout: .bfl, type: type, guidance: guidance)
        )
        #expect(first.layout == .diffusers)
        #expect(second.layout == .bfl)
        #expect(first.scheduler == second.scheduler)
        #expect(first.scheduler.useDynamicShifting == guidance)
        #expect(first.transformer.configuration == second.transformer.configuration)
        let parameters = first.transformer.parameters.list
        #expect(parameters.count == second.transformer.parameters.list.count)
        for parameter in parameters {
            let expected = try values(first.transformer.source, parameter)
            #expect(
                try values(second.transformer.source, parameter) == expected,
                "\(parameter.name)"
            )
            #expect(Set(expected).count > 1)
        }
        for parameter in first.autoencoder.parameters.list {
            let expected = try values(first.autoencoder.source, parameter)
            #expect(
                try values(second.autoencoder.source, parameter) == expected,
                "\(parameter.name)"
            )
        }
    }

    @Test("halves of norm_out.linear are swapped and q, k, v are thirds")
    func fusedRows() throws {
        let first = try ModelDirectory(path: folder.model("a"))
        let stored = try ModelDirectory(path: folder.model("b", layout: .bfl)).transformer.set
        let file = try stored.requiredFile("final_layer.adaLN_modulation.1.bias")
        let swapped = try file.values(of: "final_layer.adaLN_modulation.1.bias")
        let bias = ModelParameter(name: "norm_out.linear.bias", shape: [256])
        #expect(
            try values(first.transformer.source, bias) == Array(swapped[128...] + swapped[..<128])
        )
        let fused = try file.values(of: "single_blocks.1.linear1.bias")
        let value = ModelParameter(
            name: "single_transformer_blocks.1.attn.to_v.bias",
            shape: [128]
        )
        #expect(try values(first.transformer.source, value) == Array(fused[256..<384]))
    }

    @Test("a checkpoint's prefix is read, encoders come from --parts, constants stand in")
    func singleFile() throws {
        let whole = try folder.model("whole", layout: .bfl)
        let opened = try SafetensorsFile(path: "\(whole)/flux1-dev.safetensors")
        let alone = "\(folder.path)/alone"
        try FileManager.default.createDirectory(
            atPath: "\(alone)/transformer",
            withIntermediateDirectories: true
        )
        let writer = try SafetensorsWriter(
            path: "\(alone)/some.safetensors",
            tensors: opened.names.compactMap { name in
                opened.entries[name].map {
                    .init(
                        name: "model.diffusion_model.\(name)",
                        type: $0.type,
                        shape: $0.shape
                    )
                }
            }
        )
        for name in opened.names {
            try opened.forEachPiece(of: name) { try writer.write($0) }
        }
        try writer.finish()
        #expect(throws: SafetensorsError.self) { try ModelDirectory(path: alone, parts: whole) }
        try FileManager.default.copyItem(
            atPath: "\(whole)/transformer/config.json",
            toPath: "\(alone)/transformer/config.json"
        )
        #expect(throws: ModelError.self) { try ModelDirectory(path: alone) }
        let model = try ModelDirectory(path: "\(alone)/some.safetensors", parts: whole)
        let expected = try ModelDirectory(path: whole)
        let name = "transformer_blocks.1.attn.add_k_proj.weight"
        let parameter = ModelParameter(name: name, shape: [128, 128])
        #expect(
            try values(model.transformer.source, parameter)
                == values(expected.transformer.source, parameter)
        )
    }

    @Test("the numbers of tensors and values are those of the published model")
    func publishedCounts() {
        let geometry = ModelGeometry.fluxDev
        let flux = ModelParameters(geometry.transformer)
        #expect(flux.count == 11_901_408_320)
        #expect(flux.list.count == 1160)
        #expect(ModelParameters(geometry.textEncoder2).count == 4_762_310_656)
        #expect(ModelParameters(geometry.textEncoder).count == 123_060_480)
        #expect(ModelParameters(geometry.autoencoder).count == 83_819_683)
    }

    @Test(
        "a configuration without a key, or with a wrong one, is named",
        arguments: [
            ("transformer", "num_layers", "\"x\"", "has no key 'num_layers'"),
            ("transformer", "num_layers", "\"num_layers\": null, \"x\"", "'num_layers'"),
            ("transformer", "num_layers", "\"num_layers\": \"2\", \"x\"", "whole number"),
            ("transformer", "num_layers", "\"num_layers\": -2, \"x\"", "-2"),
            ("transformer", "num_attention_heads", "\"num_attention_heads\": 8, \"x\"", "[256"),
            ("transformer", "attention_head_dim", "\"attention_head_dim\": 30, \"x\"", "sum 32"),
            ("vae", "norm_num_groups", "\"norm_num_groups\": 5, \"x\"", "norm_num_groups"),
            ("vae", "scaling_factor", "\"x\"", "has no key 'scaling_factor'"),
            ("text_encoder", "hidden_size", "\"hidden_size\": 36, \"x\"", "[540, 36]"),
            ("text_encoder_2", "d_model", "\"x\"", "has no key 'd_model'"),
            ("text_encoder_2", "d_model", "{", "is not JSON"),
        ]
    )
    func badConfiguration(part: String, key: String, text: String, problem: String) throws {
        let path = try folder.model("m")
        try folder.edit("\(path)/\(part)/config.json") {
            $0.replacing("\"\(key)\"", with: text)
        }
        let error = #expect(throws: (any Error).self) { try ModelDirectory(path: path) }
        let description = String(describing: try #require(error))
        #expect(description.contains(problem), "\(description)")
        #expect(description.contains("/\(part)"))
        #expect(!description.contains("\n"))
    }

    @Test("rotary axes that the published file leaves out are upstream's default")
    func defaultAxes() throws {
        let path = try folder.model("m")
        try folder.edit("\(path)/transformer/config.json") {
            $0.replacing("\"axes_dims_rope\"", with: "\"x\"")
        }
        let error = #expect(throws: ModelError.self) { try ModelDirectory(path: path) }
        #expect(try #require(error).description.contains("[16, 56, 56] (sum 128)"))
    }

    @Test(
        "a missing part is named",
        arguments: [
            "transformer", "text_encoder", "text_encoder_2/config.json", "vae", "tokenizer",
            "tokenizer/merges.txt", "tokenizer_2/spiece.model", "scheduler",
            "text_encoder/model.safetensors", "vae/config.json",
        ]
    )
    func missingPart(name: String) throws {
        let path = try folder.model("m")
        try FileManager.default.removeItem(atPath: "\(path)/\(name)")
        let error = #expect(throws: (any Error).self) { try ModelDirectory(path: path) }
        let description = String(describing: try #require(error))
        #expect(description.contains(name.split(separator: "/")[0]), "\(description)")
    }

    @Test("an unknown tokenizer is named")
    func unknownTokenizer() throws {
        let path = try folder.model("m")
        try folder.edit("\(path)/tokenizer_2/tokenizer_config.json") {
            $0.replacing("T5Tokenizer", with: "LlamaTokenizer")
        }
        let error = #expect(throws: ModelError.self) { try ModelDirectory(path: path) }
        #expect(try #require(error).description.contains("LlamaTokenizer"))
    }

    @Test("one model has one digest; another seed has another")
    func digests() async throws {
        let first = try await ModelDirectory(path: folder.model("a")).digest()
        #expect(try await ModelDirectory(path: folder.model("b")).digest(threads: 1) == first)
        #expect(try await ModelDirectory(path: folder.model("c", seed: 4)).digest() != first)
    }

    @Test("a random model does not overwrite and leaves nothing when it cannot be written")
    func unwritable() throws {
        let path = try folder.model("a")
        #expect(throws: ModelError.self) { try folder.model("a") }
        #expect(throws: ModelError.self) { try folder.model("none/a") }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["a"])
        #expect(try ModelDirectory(path: path).adapterFiles.isEmpty)
    }

    @Test("single files become a directory; what is missing is said and nothing stays")
    func assembly() throws {
        let whole = try folder.model("whole", layout: .bfl)
        var assembly = ModelAssembly(
            transformer: "\(whole)/flux1-dev.safetensors",
            autoencoder: "\(whole)/ae.safetensors",
            clip: "\(whole)/text_encoder/model.safetensors",
            t5: "\(whole)/text_encoder_2/model.safetensors",
            tokenizers: whole
        )
        let model = try assembly.write(to: "\(folder.path)/made")
        let expected = try ModelDirectory(path: whole)
        #expect(model.transformer.configuration == expected.transformer.configuration)
        #expect(model.autoencoder.configuration == expected.autoencoder.configuration)
        assembly.t5 = "\(whole)/t5xxl.safetensors"
        let error = #expect(throws: ModelError.self) {
            try assembly.write(to: "\(folder.path)/other")
        }
        #expect(try #require(error).description.contains("t5xxl.safetensors"))
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
                == ["made", "whole"]
        )
    }

    @Test("configurations are read from the shapes of files that lie alone")
    func inference() throws {
        var geometry = ModelGeometry.tiny
        geometry.transformer = .dev
        geometry.transformer.numLayers = 1
        geometry.transformer.numSingleLayers = 2
        geometry.transformer.numAttentionHeads = 1
        geometry.transformer.jointAttentionDim = 48
        geometry.transformer.pooledProjectionDim = 64
        geometry.textEncoder.hiddenSize = 64
        geometry.textEncoder.numAttentionHeads = 1
        geometry.autoencoder.layersPerBlock = 1
        let whole = "\(folder.path)/whole"
        let model = RandomModel(geometry: geometry, seed: 1, layout: .bfl, type: .bfloat16)
        try model.write(to: whole)
        let flat = "\(folder.path)/flat"
        try FileManager.default.createDirectory(
            atPath: flat,
            withIntermediateDirectories: true
        )
        let files = [
            ("flux1-dev", "flux"), ("ae", "ae"), ("text_encoder/model", "clip_l"),
            ("text_encoder_2/model", "t5xxl_fp16"),
        ]
        for (source, name) in files {
            try FileManager.default.moveItem(
                atPath: "\(whole)/\(source).safetensors",
                toPath: "\(flat)/\(name).safetensors"
            )
        }
        let made = try ModelAssembly(
            transformer: "\(flat)/flux.safetensors",
            autoencoder: "\(flat)/ae.safetensors",
            clip: "\(flat)/clip_l.safetensors",
            t5: "\(flat)/t5xxl_fp16.safetensors",
            tokenizers: whole
        ).write(to: "\(folder.path)/made")
        #expect(made.transformer.configuration == geometry.transformer)
        #expect(made.textEncoder.configuration == geometry.textEncoder)
        #expect(made.textEncoder2.configuration == geometry.textEncoder2)
        #expect(made.autoencoder.configuration == geometry.autoencoder)
        #expect(made.scheduler == .dev)
    }
}
