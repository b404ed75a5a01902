/// What one tensor name of an adapter file means.
enum AdapterKey: Equatable {
    /// The first matrix, [rank, in], of the pair with that stem.
    case down(stem: String)
    /// The second matrix, [out, rank].
    case up(stem: String)
    /// The number that scales the pair by alpha / rank.
    case alpha(stem: String)
    /// A part of a text encoder's adapter.
    case textEncoder
    /// One of DreamO's embedding tables, which is not a pair.
    case embedding
    /// A form of adapter that is not a pair of matrices, by its name.
    case unsupported(form: String)
    /// Nothing known.
    case unknown

    /// Reads a tensor's name.
    ///
    /// - Parameters:
    ///   - name: The name in the file.
    ///   - isDreamO: Whether the file is one of DreamO's own, where whatever is called an
    ///     embedding is no pair.
    init(_ name: String, isDreamO: Bool) {
        if name.contains("embedding"), isDreamO || name.hasPrefix("dreamo_") {
            self = .embedding
        } else if Self.textEncoderPrefixes.contains(where: name.hasPrefix) {
            self = .textEncoder
        } else if let form = Self.unsupportedForms.first(where: { name.contains($0.part) }) {
            self = .unsupported(form: form.name)
        } else {
            self = Self.part(name)
        }
    }

    /// What says that a key belongs to CLIP or T5, in kohya's, diffusers' and ComfyUI's names.
    private static let textEncoderPrefixes = [
        "lora_te_", "lora_te1_", "lora_te2_", "lora_te3_", "text_encoder.", "text_encoder_2.",
        "text_encoder_3.", "text_encoders.", "text_model.", "clip_l.", "t5xxl.",
        "base_model.model.text_model.",
    ]

    private static let unsupportedForms: [(part: String, name: String)] = [
        ("dora_scale", "a DoRA adapter"),
        ("lora_magnitude_vector", "a DoRA adapter"),
        (".lokr_", "a LoKr adapter"),
        (".hada_", "a LoHa adapter"),
        (".oft_", "an OFT adapter"),
        (".lora_mid.", "a LoCon adapter with a middle matrix"),
        (".lora_B.bias", "a bias beside a pair"),
        (".lora_up.bias", "a bias beside a pair"),
        (".diff_b", "a change of biases"),
    ]

    private static let downSuffixes = [
        ".lora_A.weight", ".lora_A.default.weight", ".lora_down.weight", ".lora.down.weight",
        ".lora_linear_layer.down.weight", ".down.weight",
    ]
    private static let upSuffixes = [
        ".lora_B.weight", ".lora_B.default.weight", ".lora_up.weight", ".lora.up.weight",
        ".lora_linear_layer.up.weight", ".up.weight",
    ]
    private static let alphaSuffixes = [".lora.alpha", ".alpha"]

    private static func part(_ name: String) -> AdapterKey {
        func stem(_ suffixes: [String]) -> String? {
            suffixes.first(where: name.hasSuffix).map { String(name.dropLast($0.count)) }
        }
        if let stem = stem(downSuffixes) { return .down(stem: stem) }
        if let stem = stem(upSuffixes) { return .up(stem: stem) }
        if let stem = stem(alphaSuffixes) { return .alpha(stem: stem) }
        return .unknown
    }
}
