import CKernels

extension Compute {
    private static let queryTile = 256

    /// out = softmax(scale·q·kᵀ + bias)·v, head by head.
    ///
    /// - Parameters:
    ///   - out: (queries, heads · width)
    ///   - q: (queries, heads · width)
    ///   - k: (keys, heads · width)
    ///   - v: (keys, heads · width)
    ///   - heads: The count of heads.
    ///   - scale: What the products are multiplied by: 1/√width, or 1 for T5.
    ///   - bias: (heads · queries, keys), added to the scaled products, or nil.
    ///   - causal: Whether query i sees keys 0…i only.
    package func attention(
        _ out: Tensor,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        heads: Int,
        scale: Float,
        bias: Tensor? = nil,
        causal: Bool = false
    ) {
        precondition(
            q.columns % heads == 0 && k.columns == q.columns && v.columns == q.columns
                && out.columns == q.columns && out.rows == q.rows && k.rows == v.rows,
            "the sizes of queries, keys, values and output agree"
        )
        let width = q.columns / heads
        let blocks = Parts(q.rows, atMost: Compute.queryTile)
        let tile = min(q.rows, Compute.queryTile)
        withScratch {
            let logits = scratch(threads * tile, k.rows)
            parallel(heads * blocks.count) { part, worker in
                let head = part / blocks.count
                let rows = blocks[part % blocks.count]
                let channels = head * width..<(head + 1) * width
                let p = logits.rows(worker * tile..<worker * tile + rows.count)
                multiply(p, q.rows(rows).columns(channels), k.columns(channels), transposed: true)
                kernel_softmax_f32(
                    p.base,
                    bias.map { $0.row(head * q.rows + rows.lowerBound) },
                    rows.count,
                    k.rows,
                    p.stride,
                    bias?.stride ?? 0,
                    causal ? rows.lowerBound + 1 : k.rows,
                    scale
                )
                multiply(
                    out.rows(rows).columns(channels),
                    p,
                    v.columns(channels),
                    transposed: false
                )
            }
        }
    }

    /// Normalises each head of `x` by its root mean square, then rotates its channel pairs.
    ///
    /// - Parameters:
    ///   - x: (tokens, heads · width), in place.
    ///   - weight: (1, width)
    ///   - rope: The angles of at least as many tokens.
    ///   - heads: The count of heads.
    ///   - eps: Added to the mean square.
    package func headNormRope(
        _ x: Tensor,
        weight: Tensor,
        rope: RotaryTable,
        heads: Int,
        eps: Float
    ) {
        let width = x.columns / heads
        precondition(
            width * heads == x.columns && weight.columns == width
                && rope.cosine.columns * 2 == width && rope.cosine.rows == x.rows,
            "heads, angles and tokens agree"
        )
        parallelRows(x.rows) { rows in
            kernel_head_norm_rope_f32(
                x.row(rows.lowerBound),
                weight.base,
                rope.cosine.row(rows.lowerBound),
                rope.sine.row(rows.lowerBound),
                rows.count,
                heads,
                width,
                x.stride,
                eps
            )
        }
    }
}

/// Cosines and sines of the rotary position embedding, a row a token, a column a channel pair.
package struct RotaryTable: Sendable {
    /// The cosines: (tokens, width / 2).
    package let cosine: Tensor
    /// The sines: (tokens, width / 2).
    package let sine: Tensor

    package init(cosine: Tensor, sine: Tensor) {
        precondition(
            cosine.rows == sine.rows && cosine.columns == sine.columns
                && cosine.isContiguous && sine.isContiguous,
            "a sine for each cosine"
        )
        self.cosine = cosine
        self.sine = sine
    }

    /// The angles of some tokens.
    package func rows(_ range: Range<Int>) -> RotaryTable {
        RotaryTable(cosine: cosine.rows(range), sine: sine.rows(range))
    }
}
