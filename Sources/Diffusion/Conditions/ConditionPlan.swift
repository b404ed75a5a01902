import Crypto
import Imaging
import Networks
import Tensors

/// What the conditions of pictures are made from, known before any is computed.
///
/// It needs no weights, and may be used on any thread while its pipeline renders.
package struct ConditionPlan: Sendable {
    private let t5Tokenizer: T5Tokenizer
    private let clipTokenizer: CLIPTokenizer
    /// What determines features beside the ids.
    private let textLines: [String]
    /// What determines posteriors beside the pixels.
    private let pictureLines: [String]

    /// A prompt's key, and the ids that its features are computed from.
    struct Prompt: Sendable {
        let key: ArtifactKey
        let t5: TokenizedText
        let clip: TokenizedText
    }

    /// A reference's key, and the pixels that its posterior is computed from.
    struct Reference: Sendable {
        let key: ArtifactKey
        let image: PixelImage
    }

    /// All conditions of one picture.
    struct Conditions: Sendable {
        let prompt: Prompt
        /// The prompt of true CFG's plain branch, where the picture has one.
        let negative: Prompt?
        /// The references in sequence order.
        let references: [Reference]

        /// A digest of all keys in their places.
        var digest: String {
            Diffusion.digest(
                ofLines: [prompt.key.digest, negative?.key.digest ?? ""]
                    + references.map(\.key.digest)
            )
        }

        /// The keys, each once.
        var keys: [ArtifactKey] {
            var seen: Set<ArtifactKey> = []
            return ([prompt.key, negative?.key].compactMap(\.self) + references.map(\.key))
                .filter { seen.insert($0).inserted }
        }
    }

    /// - Parameters:
    ///   - t5Tokenizer: T5's.
    ///   - clipTokenizer: CLIP's.
    ///   - digest: The base model's.
    ///   - numericClass: The class that the conditions are computed in.
    ///   - placeholders: The embeddings that DreamO adds to T5's table, or nil.
    init(
        t5Tokenizer: T5Tokenizer,
        clipTokenizer: CLIPTokenizer,
        digest: ModelDigest,
        numericClass: Provenance.NumericClass,
        placeholders: [Float]?
    ) {
        self.t5Tokenizer = t5Tokenizer
        self.clipTokenizer = clipTokenizer
        let numericClass = "class \(numericClass)"
        let added = placeholders.map { values in
            values.withUnsafeBytes { hexadecimal(SHA256.hash(data: $0)) }
        }
        textLines = [
            numericClass, digest.line(of: "text_encoder"), digest.line(of: "text_encoder_2"),
            "placeholders \(added ?? "none")",
        ]
        pictureLines = [numericClass, digest.line(of: "vae")]
    }

    /// The keys of the conditions that a picture needs, each once.
    ///
    /// - Parameter request: The picture; it was validated.
    /// - Returns: The prompt's, under true CFG the negative prompt's, the references'.
    package func keys(for request: RenderRequest) -> [ArtifactKey] {
        conditions(of: request).keys
    }

    /// All conditions of a picture.
    func conditions(of request: RenderRequest) -> Conditions {
        Conditions(
            prompt: prompt(request.prompt, maxTokens: request.maxTextTokens),
            negative: request.usesTrueCFG
                ? prompt(request.negativePrompt, maxTokens: request.maxTextTokens) : nil,
            references: request.conditions.map { reference($0, of: request) }
        )
    }

    private func prompt(_ text: String, maxTokens: Int?) -> Prompt {
        let t5 = t5Tokenizer.encode(text, maxLength: maxTokens ?? t5Tokenizer.usualLength)
        let clip = clipTokenizer.encode(text)
        func line(_ name: String, _ ids: [Int]) -> String {
            "\(name) \(ids.map(String.init).joined(separator: ","))"
        }
        return Prompt(
            key: ArtifactKey(
                .prompt,
                of: textLines + [line("t5", t5.ids), line("clip", clip.ids)]
            ),
            t5: t5,
            clip: clip
        )
    }

    private func reference(_ condition: Condition, of request: RenderRequest) -> Reference {
        let image = condition.prepared(by: request.prepare, refRes: request.refRes)
        let pixels = image.pixels.withUnsafeBytes { hexadecimal(SHA256.hash(data: $0)) }
        return Reference(
            key: ArtifactKey(
                .reference,
                of: pictureLines + ["pixels \(image.width)x\(image.height) \(pixels)"]
            ),
            image: image
        )
    }
}
