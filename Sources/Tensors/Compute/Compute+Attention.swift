import CKernels

extension Compute {
    private static let queryTile = 256

    /// out = softmax(scale·q·kᵀ)·v, head by head, in one pass over the keys.
    ///
    /// - Parameters:
    ///   - out: (queries, heads · width); it may be q.
    ///   - q: (queries, heads · width)
    ///   - k: (keys, heads · width)
    ///   - v: (keys, heads · width)
    ///   - heads: The count of heads.
    ///   - scale: What the products are multiplied by, such as 1/√width.
    ///   - precision: What the products are computed in; in bytes those of queries and keys, while
    ///     those with the values are in bfloat16.
    package func attention(
        _ out: Tensor,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        heads: Int,
        scale: Float,
        _ precision: Precision
    ) {
        checkAttention(out, q, k, v, heads)
        let width = q.columns / heads
        let words = precision.words(width)
        let keyPanels = Panel.count(k.rows, of: Panel.columns)
        let valuePanels = Panel.count(width, of: Panel.columns)
        let valueWords = precision.floating.words(keyPanels * Panel.columns)
        let queries = Int(KERNEL_ATTENTION_QUERIES)
        let level = kernels.level
        withScratch {
            let keys = scratch(heads * keyPanels, words * Panel.columns)
            let scaled = precision.isBytes ? keyPanels * Panel.columns : 1
            let keyScales = scratch(heads, scaled)
            let keySums = scratch(heads, scaled)
            @Sendable func sums(_ head: Int) -> UnsafeMutablePointer<Int32> {
                UnsafeMutableRawPointer(keySums.row(head)).assumingMemoryBound(to: Int32.self)
            }
            parallel(keys.rows) { part, _ in
                let (head, first) = (part / keyPanels, part % keyPanels * Panel.columns)
                let from = k.row(first) + head * width
                let count = min(Panel.columns, k.rows - first)
                if precision.isBytes {
                    kernel_quantize_columns(
                        keys.row(part),
                        keyScales.row(head) + first,
                        sums(head) + first,
                        from,
                        count,
                        width,
                        k.stride
                    )
                } else {
                    kernel_pack_columns(
                        keys.row(part),
                        from,
                        count,
                        width,
                        k.stride,
                        precision.format
                    )
                }
            }
            let values = scratch(heads * valuePanels, valueWords * Panel.columns)
            parallel(values.rows) { part, _ in
                let first = part % valuePanels * Panel.columns
                kernel_pack_columns_transposed(
                    values.row(part),
                    v.base + part / valuePanels * width + first,
                    v.rows,
                    min(Panel.columns, width - first),
                    v.stride,
                    valueWords,
                    precision.floating.format
                )
            }
            let room = kernel_attention_room(width) / MemoryLayout<Float>.stride
            let rooms = scratch(threads, (room + 15) / 16 * 16)
            let blocks = Parts(q.rows, atMost: queries)
            parallel(heads * blocks.count) { part, worker in
                let head = part / blocks.count
                let rows = blocks[part % blocks.count]
                kernel_attention(
                    out.row(rows.lowerBound) + head * width,
                    out.stride,
                    q.row(rows.lowerBound) + head * width,
                    q.stride,
                    kernel_keys(
                        panels: keys.row(head * keyPanels),
                        scale: precision.isBytes ? keyScales.row(head) : nil,
                        sum: precision.isBytes ? sums(head) : nil
                    ),
                    values.row(head * valuePanels),
                    rows.count,
                    k.rows,
                    width,
                    scale,
                    precision.format,
                    rooms.row(worker),
                    level
                )
            }
        }
    }

    private func checkAttention(_ out: Tensor, _ q: Tensor, _ k: Tensor, _ v: Tensor, _ heads: Int)
    {
        precondition(
            q.columns % heads == 0 && k.columns == q.columns && v.columns == q.columns
                && out.columns == q.columns && out.rows == q.rows && k.rows == v.rows,
            "the sizes of queries, keys, values and output agree"
        )
    }

    /// out = softmax(scale·q·kᵀ + bias)·v, head by head, in float32; for the few tokens of text
    /// encoders.
    ///
    /// - Parameters:
    ///   - out: (queries, heads · width); it may be q.
    ///   - q: (queries, heads · width)
    ///   - k: (keys, heads · width)
    ///   - v: (keys, heads · width)
    ///   - heads: The count of heads.
    ///   - scale: What the products are multiplied by: 1/√width, or 1 for T5.
    ///   - bias: (heads · queries, keys), added to the scaled products, or nil.
    ///   - causal: Whether query i sees keys 0…i only.
    package func biasedAttention(
        _ out: Tensor,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        heads: Int,
        scale: Float,
        bias: Tensor? = nil,
        causal: Bool = false
    ) {
        checkAttention(out, q, k, v, heads)
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

    /// Projects x to keys, values and queries of heads, and norms and rotates keys and queries
    /// while they are in the cache.
    ///
    /// - Parameters:
    ///   - kvq: The result: (tokens, 3 · heads · width), keys, values, queries.
    ///   - x: (tokens, inputs)
    ///   - layer: The fused projection.
    ///   - keyNorm: The weight of the keys' norm: (1, width).
    ///   - queryNorm: The weight of the queries' norm: (1, width).
    ///   - rope: The angles of as many tokens.
    ///   - eps: Added to a head's mean square.
    package func projectHeads(
        _ kvq: Tensor,
        _ x: Operand,
        _ layer: Linear,
        keyNorm: Tensor,
        queryNorm: Tensor,
        rope: RotaryTable,
        eps: Float
    ) {
        let width = keyNorm.columns
        let all = layer.outputs / 3
        precondition(
            layer.outputs == 3 * all && all % width == 0 && queryNorm.columns == width
                && kvq.columns == layer.outputs && kvq.rows == x.rows
                && rope.cosine.columns * 2 == width && rope.cosine.rows == x.rows,
            "heads, angles and tokens agree"
        )
        let norms = [(0..<all, keyNorm), (2 * all..<3 * all, queryNorm)]
        product([x], layer, unit: width) { tile in
            tile.finish(bias: layer.bias, .identity)
            for (range, weight) in norms {
                let columns = range.clamped(to: tile.columns)
                guard !columns.isEmpty else { continue }
                kernel_head_norm_rope_f32(
                    tile.base + columns.lowerBound - tile.columns.lowerBound,
                    weight.base,
                    rope.cosine.row(tile.rows.lowerBound),
                    rope.sine.row(tile.rows.lowerBound),
                    tile.rows.count,
                    columns.count / width,
                    width,
                    tile.stride,
                    eps
                )
            }
            tile.copy(to: kvq)
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
