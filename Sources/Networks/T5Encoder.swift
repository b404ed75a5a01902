// After transformers' models/t5/modeling_t5.py (T5Stack of the encoder).

import Glibc
package import Tensors

/// The T5 text encoder, as a function of its weights.
package struct T5Encoder: Sendable {
    package let configuration: T5Configuration
    private let shared: EmbeddingTable
    private let placeholders: Tensor?
    private let firstPlaceholder: Int
    /// What the ranks of a group share.
    package let stack: T5Stack
    private let finalLayerNorm: Tensor

    /// Reads all parameters.
    ///
    /// - Parameters:
    ///   - configuration: The sizes.
    ///   - reader: Where the parameters come from.
    ///   - placeholders: The input rows of added tokens: (tokens, model width), or nil.
    ///   - firstPlaceholder: The id of the first of them; ids from there on use these rows.
    /// - Throws: What the source throws.
    package init(
        _ configuration: T5Configuration,
        from reader: LayerReader,
        placeholders: Tensor? = nil,
        firstPlaceholder: Int = .max
    ) throws {
        let c = configuration
        let reader = reader.finer
        let source = reader.source
        self.configuration = c
        self.placeholders = placeholders
        self.firstPlaceholder = firstPlaceholder
        shared = try reader.embeddings("shared.weight", rows: c.vocabSize, columns: c.dModel)
        stack = try T5Stack(c, from: reader)
        finalLayerNorm = try source.vector("encoder.final_layer_norm.weight", count: c.dModel)
    }

    /// The features of token ids: (tokens, model width).
    ///
    /// Padding is attended to, as in FLUX. `trace` receives what each layer adds up to, under
    /// upstream's names.
    package func callAsFunction(
        _ ids: [Int],
        in compute: Compute,
        trace: Trace? = nil
    ) -> Tensor {
        let x = embedded(ids)
        stack(x, in: compute, trace: trace)
        return features(x, in: compute)
    }

    /// The input rows of token ids: (tokens, model width).
    package func embedded(_ ids: [Int]) -> Tensor {
        let x = Tensor(rows: ids.count, columns: configuration.dModel)
        for (row, id) in ids.enumerated() {
            embed(id, to: x.row(row))
        }
        return x
    }

    /// The features of what the stack made of the rows, in its place.
    package func features(_ x: Tensor, in compute: Compute) -> Tensor {
        compute.withScratch {
            let h = compute.scratch(x.rows, x.columns)
            compute.rmsNorm(h, x, weight: finalLayerNorm, eps: configuration.layerNormEpsilon)
            x.copy(from: h)
        }
        return x
    }

    private func embed(_ id: Int, to out: UnsafeMutablePointer<Float>) {
        if id >= firstPlaceholder, let placeholders {
            out.update(from: placeholders.row(id - firstPlaceholder), count: configuration.dModel)
        } else {
            shared.copyRow(id, to: out)
        }
    }
}
