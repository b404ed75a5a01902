import Networks
import Tensors
import Testing

@testable import Diffusion

@Suite struct AdapterErrorTests {
    private static let module = "transformer_blocks.1.attn.to_k"
    private static let kohya = "lora_unet_double_blocks_0_img_attn_qkv"

    private func message(
        _ shapes: [String: [Int]],
        origin: AdapterFile.Origin = .user
    ) throws -> String {
        let folder = try TemporaryFolder()
        let path = try folder.write(ones: shapes)
        let targets = AdapterTargets(configuration: adapterConfiguration)
        let error = #expect(throws: AdapterError.self) {
            _ = try AdapterFile(path: path, origin: origin, targets: targets)
        }
        let text = try #require(error).description
        #expect(text.hasPrefix("\(path): ") && !text.contains("\n"))
        return String(text.dropFirst(path.count + 2))
    }

    @Test(
        "each broken file is refused with the key and the numbers",
        arguments: [
            (
                ["\(module).lora_A.weight": [2, 8]],
                "\(module) has no up matrix; the file is damaged or incomplete"
            ),
            (
                ["\(module).lora_B.weight": [8, 2]],
                "\(module) has no down matrix; the file is damaged or incomplete"
            ),
            (
                ["\(module).lora_A.weight": [2, 8], "\(module).lora_B.weight": [8, 3]],
                "\(module) has rank 2 in its down matrix and 3 in its up matrix; "
                    + "the file is damaged"
            ),
            (
                ["\(module).lora_A.weight": [2, 9], "\(module).lora_B.weight": [8, 2]],
                "\(module).lora_A.weight has 9 columns, the model needs 8; "
                    + "it was made for another model"
            ),
            (
                ["\(kohya).lora_down.weight": [2, 8], "\(kohya).lora_up.weight": [8, 2]],
                "\(kohya).lora_up.weight has 8 rows, the model needs 24; "
                    + "it was made for another model"
            ),
            (
                ["\(module).lora_A.weight": [2, 8, 3], "\(module).lora_B.weight": [8, 2]],
                "\(module).lora_A.weight has shape [2, 8, 3], not [rows, columns]; "
                    + "only pairs for Linear layers can be merged"
            ),
            (
                [
                    "\(module).lora_A.weight": [2, 8], "\(module).lora_B.weight": [8, 2],
                    "\(module).alpha": [2],
                ],
                "\(module).alpha is not one finite number; the file is damaged"
            ),
            (
                [
                    "\(module).lora_A.weight": [2, 8], "\(module).lora_B.weight": [8, 2],
                    "\(module).lora_B.bias": [8],
                ],
                "a bias beside a pair is not supported (1 key: \(module).lora_B.bias); "
                    + "convert it to a plain LoRA"
            ),
            (
                ["\(kohya).lokr_w1": [2, 2], "\(kohya).lokr_w2": [2, 2]],
                "a LoKr adapter is not supported (2 keys: \(kohya).lokr_w1, \(kohya).lokr_w2); "
                    + "convert it to a plain LoRA"
            ),
            (
                ["\(kohya).hada_w1_a": [2, 2]],
                "a LoHa adapter is not supported (1 key: \(kohya).hada_w1_a); "
                    + "convert it to a plain LoRA"
            ),
            (
                ["\(module).dora_scale": [8, 1]],
                "a DoRA adapter is not supported (1 key: \(module).dora_scale); "
                    + "convert it to a plain LoRA"
            ),
            (
                ["transformer_blocks.2.attn.to_k.lora_A.weight": [2, 8], "stray": [1]],
                "1 key matches no module of this model's transformer: stray; "
                    + "is it an adapter for another model?"
            ),
            (
                ["text_encoder.layers.0.lora_A.weight": [2, 8]],
                "no pair for the transformer, only 1 for text encoders; "
                    + "those take no adapters"
            ),
            (
                [
                    "\(kohya).lora_down.weight": [2, 8], "\(kohya).lora_up.weight": [24, 2],
                    "transformer.transformer_blocks.0.attn.to_v.lora_A.weight": [2, 8],
                    "transformer.transformer_blocks.0.attn.to_v.lora_B.weight": [8, 2],
                ],
                "\(kohya).lora_down.weight and transformer.transformer_blocks.0.attn.to_v"
                    + ".lora_A.weight are both for transformer_blocks.0.attn.to_v; "
                    + "remove one of them"
            ),
        ]
    )
    func broken(shapes: [String: [Int]], expected: String) throws {
        #expect(try message(shapes) == expected)
    }

    @Test("a DreamO file with keys that match nothing lists the first eight and how many")
    func unmatched() throws {
        var shapes: [String: [Int]] = [:]
        for block in 2..<7 {
            shapes["double_blocks_\(block).processor.qkv_lora1.down.weight"] = [2, 8]
            shapes["double_blocks_\(block).processor.qkv_lora1.up.weight"] = [24, 2]
        }
        let text = try message(shapes, origin: .dreamO)
        #expect(
            text.hasPrefix("10 keys match no module of this model's transformer: double_blocks_2")
        )
        #expect(text.contains("double_blocks_5.processor.qkv_lora1.up.weight, and 2 more;"))
    }

    @Test("two spellings of one half are refused")
    func twoSpellings() throws {
        let text = try message([
            "\(Self.module).lora_A.weight": [2, 8], "\(Self.module).lora_down.weight": [2, 8],
            "\(Self.module).lora_B.weight": [8, 2],
        ])
        #expect(text.hasSuffix("are both for \(Self.module); remove one of them"))
    }
}

@Suite struct AdapterKeyTests {
    @Test(
        "names are read as what they are",
        arguments: [
            ("transformer.a.b.lora_A.weight", AdapterKey.down(stem: "transformer.a.b")),
            ("a.b.lora_A.default.weight", .down(stem: "a.b")),
            ("a.b.lora.down.weight", .down(stem: "a.b")),
            ("double_blocks_0.x.qkv_lora1.down.weight", .down(stem: "double_blocks_0.x.qkv_lora1")),
            ("a.b.lora_B.weight", .up(stem: "a.b")),
            ("lora_unet_a.lora_up.weight", .up(stem: "lora_unet_a")),
            ("a.lora.alpha", .alpha(stem: "a")),
            ("a.alpha", .alpha(stem: "a")),
            ("lora_te2_x.lora_up.weight", .textEncoder),
            ("lora_te_x.dora_scale", .textEncoder),
            ("text_encoder_2.x.lora_A.weight", .textEncoder),
            ("dreamo_idx_embedding.weight", .embedding),
            ("a.weight", .unknown),
        ]
    )
    func name(name: String, key: AdapterKey) {
        #expect(AdapterKey(name, isDreamO: false) == key)
    }

    @Test("an embedding is no pair in DreamO's files only")
    func embeddings() {
        let name = "x_embedding.lora_A.weight"
        #expect(AdapterKey(name, isDreamO: true) == .embedding)
        #expect(AdapterKey(name, isDreamO: false) == .down(stem: "x_embedding"))
    }
}
