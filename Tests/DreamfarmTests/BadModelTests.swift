import Foundation
import Testing

/// `dreamfarm render` on models that are broken in one place.
@Suite("Broken models")
struct BadModelTests {
    private static let shard = "transformer/diffusion_pytorch_model-00001-of-00002.safetensors"
    private static let autoencoder = "vae/diffusion_pytorch_model.safetensors"

    @Test(
        "broken weights are named",
        arguments: [
            BadInput("no model", named: ["model"]) { try $0.remove("model") },
            BadInput("missing shard", named: [shard.dropFolder]) {
                try $0.remove("model/\(shard)")
            },
            BadInput("missing weights", named: ["model/vae"]) {
                try $0.remove("model/\(autoencoder)")
            },
            BadInput("empty", named: [shard]) { try $0.write([], to: "model/\(shard)") },
            BadInput("truncated", named: [shard, "download it again"]) {
                let bytes = try $0.bytes(of: "model/\(shard)")
                try $0.write(bytes[..<(bytes.count / 2)], to: "model/\(shard)")
            },
            BadInput("endless header", named: [autoencoder, "header"]) {
                var bytes = try $0.bytes(of: "model/\(autoencoder)")
                bytes[7] = 0x80
                try $0.write(bytes, to: "model/\(autoencoder)")
            },
            BadInput("lying offsets", named: [autoencoder, "decoder.conv_in.bias"]) {
                try $0.change("model/\(autoencoder)", header: { $0.liftingEnd() })
            },
            BadInput("unknown type", named: [shard, "Q9"]) {
                try $0.change(
                    "model/\(shard)",
                    header: { $0.replacingFirst("\"F32\"", with: "\"Q9\"") }
                )
            },
            BadInput("not a number", named: [autoencoder, "nan", "damaged"]) {
                try $0.change(
                    "model/\(autoencoder)",
                    values: { $0.replaceSubrange(0..<4, with: [0, 0, 0xC0, 0x7F]) }
                )
            },
        ]
    )
    func weights(input: BadInput) throws {
        try input.check()
    }

    @Test(
        "a configuration's fault is named by file and key",
        arguments: [
            ("transformer/config.json", "num_layers", nil),
            ("transformer/config.json", "num_layers", "0"),
            ("transformer/config.json", "num_layers", "1.5"),
            ("transformer/config.json", "num_layers", "1e30"),
            ("transformer/config.json", "num_attention_heads", "-4"),
            ("transformer/config.json", "attention_head_dim", "4611686018427387904"),
            ("transformer/config.json", "axes_dims_rope", "[3, 5, 8]"),
            ("transformer/config.json", "guidance_embeds", "\"yes\""),
            ("transformer/config.json", "in_channels", "null"),
            ("vae/config.json", "norm_num_groups", "0"),
            ("vae/config.json", "norm_num_groups", "7"),
            ("vae/config.json", "block_out_channels", "[]"),
            ("vae/config.json", "in_channels", "1"),
            ("vae/config.json", "scaling_factor", "0"),
            ("text_encoder/config.json", "num_attention_heads", "3"),
            ("text_encoder/config.json", "layer_norm_eps", "-1"),
            ("text_encoder/config.json", "num_hidden_layers", "1"),
            ("text_encoder_2/config.json", "relative_attention_max_distance", "1"),
            ("text_encoder_2/config.json", "d_model", "{}"),
            ("scheduler/scheduler_config.json", "shift", "0"),
            ("scheduler/scheduler_config.json", "base_image_seq_len", "1000000"),
            ("scheduler/scheduler_config.json", "use_dynamic_shifting", nil),
            ("tokenizer/tokenizer_config.json", "tokenizer_class", "\"GPT2Tokenizer\""),
            ("tokenizer_2/tokenizer_config.json", "tokenizer_class", "\"LlamaTokenizer\""),
            ("tokenizer_2/tokenizer_config.json", "model_max_length", "1.5"),
        ] as [(String, String, String?)]
    )
    func configurations(file: String, key: String, value: String?) throws {
        try BadInput("\(file) \(key)", named: [file, key]) { folder in
            let object = try value.map {
                try JSONSerialization.jsonObject(with: Data($0.utf8), options: .fragmentsAllowed)
            }
            try folder.set(key, to: object, in: "model/\(file)")
        }.check()
    }

    @Test(
        "a file that is missing, empty or no file is named",
        arguments: [
            "transformer/config.json", "vae/config.json", "text_encoder/config.json",
            "text_encoder_2/config.json", "scheduler/scheduler_config.json",
            "tokenizer/vocab.json", "tokenizer/merges.txt", "tokenizer_2/spiece.model",
        ]
    )
    func files(file: String) throws {
        try BadInput("missing", named: [file]) { try $0.remove("model/\(file)") }.check()
        try BadInput("empty", named: [file]) { try $0.write([], to: "model/\(file)") }.check()
    }

    @Test(
        "a vocabulary's ids fit the encoder's table",
        arguments: [("{}", "vocab.json"), (#"{"a": -1}"#, "vocab.json"), ("[]", "vocab.json")]
    )
    func vocabulary(text: String, named: String) throws {
        try BadInput(text, named: [named]) {
            try $0.write(text.utf8, to: "model/tokenizer/vocab.json")
        }.check()
        try BadInput("beyond the table", named: ["model/tokenizer", "ids"]) {
            try $0.set("a</w>", to: 1_000_000, in: "model/tokenizer/vocab.json")
        }.check()
    }
}

extension String {
    /// What follows the last slash.
    fileprivate var dropFolder: String { String(split(separator: "/").last ?? "") }

    fileprivate func replacingFirst(_ text: String, with other: String) -> String {
        range(of: text).map { replacingCharacters(in: $0, with: other) } ?? self
    }

    /// The header with the end of `decoder.conv_in.bias` four bytes on.
    fileprivate func liftingEnd() -> String {
        guard let name = range(of: "\"decoder.conv_in.bias\""),
            let offsets = self[name.upperBound...].firstRange(of: /"data_offsets":\s*\[\d+,\s*/)
        else { return self }
        let rest = self[offsets.upperBound...]
        let end = rest.prefix { $0.isNumber }
        return self[..<offsets.upperBound] + "\((Int(end) ?? 0) + 4)" + rest.dropFirst(end.count)
    }
}
