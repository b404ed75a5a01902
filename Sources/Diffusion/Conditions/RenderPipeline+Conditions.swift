import Imaging
import Networks
import Tensors

extension RenderPipeline {
    /// A prompt as the transformer takes it.
    struct EncodedPrompt {
        let t5IDs: [Int]
        let clipIDs: [Int]
        /// T5's features: (text tokens, T5's width).
        let features: Tensor
        /// CLIP's vector: (1, CLIP's width).
        let pooled: Tensor
    }

    /// A reference's posterior and the grid of its tokens.
    struct EncodedReference {
        let distribution: LatentDistribution
        let grid: TokenGrid
    }

    /// Encodes all prompts and references of some requests, so that the encoders can be released.
    ///
    /// - Parameter requests: The requests that will be rendered.
    /// - Returns: The keys of what was computed now, since it was not in `artifacts`.
    /// - Throws: What reading the encoders throws.
    @discardableResult
    package func encodeConditions(of requests: [RenderRequest]) throws -> [ArtifactKey] {
        var computed: [ArtifactKey] = []
        for request in requests {
            let conditions = conditionPlan.conditions(of: request)
            computed += conditions.keys.filter { !artifacts.holds($0) }
            for prompt in [conditions.prompt, conditions.negative].compactMap(\.self) {
                _ = try encode(prompt)
            }
            for reference in conditions.references {
                _ = try encode(reference)
            }
        }
        return computed
    }

    /// Takes over a condition that was computed before; what is wrong with it is noted, and the
    /// condition computed anew when it is needed.
    ///
    /// - Parameters:
    ///   - bytes: What `artifacts.bytes(of:)` gave for the same key.
    ///   - key: The condition.
    /// - Returns: Whether it was taken over.
    @discardableResult
    package func adopt(_ bytes: [UInt8], as key: ArtifactKey) -> Bool {
        do {
            try artifacts.adopt(bytes, as: key)
            return true
        } catch {
            log("warning: \(error)")
            return false
        }
    }

    /// Encodes a prompt, or finds it encoded before.
    func encode(_ prompt: ConditionPlan.Prompt) throws -> EncodedPrompt {
        tellCut(prompt)
        let shapes = [
            "features": [prompt.t5.ids.count, model.textEncoder2.configuration.dModel],
            "pooled": [1, model.textEncoder.configuration.hiddenSize],
        ]
        let tensors = try condition(prompt.key, shapes: shapes) {
            let (t5, clip) = try loadTextEncoders()
            return [
                "features": try features(t5, prompt.t5.ids),
                "pooled": clip(prompt.clip.ids, in: compute),
            ]
        }
        return EncodedPrompt(
            t5IDs: prompt.t5.ids,
            clipIDs: prompt.clip.ids,
            features: tensors.0,
            pooled: tensors.1
        )
    }

    /// Says once which encoders do not see a prompt's end.
    private func tellCut(_ prompt: ConditionPlan.Prompt) {
        guard prompt.t5.wasTruncated || prompt.clip.wasTruncated else { return }
        if toldPrompts.count >= 1000 { toldPrompts = [] }
        guard toldPrompts.insert(prompt.key).inserted else { return }
        if prompt.t5.wasTruncated {
            log(
                "warning: the prompt is longer than \(prompt.t5.ids.count) T5 tokens:"
                    + " its end is not seen"
            )
        }
        if prompt.clip.wasTruncated {
            log(
                "warning: the prompt is longer than \(prompt.clip.ids.count) CLIP tokens:"
                    + " CLIP sees its beginning alone, so put what sets the style first"
            )
        }
    }

    /// Encodes a prepared reference, or finds it encoded before.
    func encode(_ reference: ConditionPlan.Reference) throws -> EncodedReference {
        let image = reference.image
        let configuration = model.autoencoder.configuration
        let pixels =
            (image.width / configuration.spatialFactor)
            * (image.height / configuration.spatialFactor)
        let shape = [configuration.latentChannels, pixels]
        let tensors = try condition(
            reference.key,
            shapes: ["logVariance": shape, "mean": shape]
        ) {
            let distribution = try loadEncoder().encode(
                image: Tensor(rgb8: image.pixels),
                height: image.height,
                width: image.width,
                in: compute
            )
            return ["logVariance": distribution.logVariance, "mean": distribution.mean]
        }
        return EncodedReference(
            distribution: LatentDistribution(mean: tensors.1, logVariance: tensors.0),
            grid: grid(width: image.width, height: image.height)
        )
    }

    /// The two matrices of a condition in the order of their names, found or computed.
    private func condition(
        _ key: ArtifactKey,
        shapes: [String: [Int]],
        compute: () throws -> [String: Tensor]
    ) throws -> (Tensor, Tensor) {
        func pair(_ tensors: [String: Tensor]) -> (Tensor, Tensor)? {
            let found = key.kind.names.compactMap { tensors[$0] }
            return found.count == 2 ? (found[0], found[1]) : nil
        }
        let held = artifacts.find(key, shapes: shapes) { log("warning: \($0)") }
        if let tensors = held.flatMap(pair) { return tensors }
        let computed = try compute()
        artifacts.keep(computed, as: key)
        guard let tensors = pair(computed) else {
            preconditionFailure("a condition has the matrices of its kind")
        }
        return tensors
    }
}
