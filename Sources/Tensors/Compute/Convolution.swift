/// The parameters of a 3×3 convolution, arranged for the products that compute it.
package struct Convolution: Sendable {
    /// What a convolution does to the size.
    package enum Kind: Sendable {
        /// Stride 1, one pixel of zeros all round.
        case same
        /// Stride 2, one row of zeros below and one column at the right: half the size.
        case halving
        /// Nearest-neighbour doubling, then as `same`.
        ///
        /// A doubled picture is never made: each of the four pixels that come of one sees 2×2
        /// different inputs only, with the sums of the weights that fall on the same.
        case doubling
    }

    package let kind: Kind
    package let inputs: Int
    package let outputs: Int
    /// The bias: (1, outputs).
    package let bias: Tensor
    /// The weights, one for each product.
    ///
    /// `same`, `halving`: a row of taps each, (outputs, 3 · inputs), columns (dx, input).
    /// `doubling`: by row phase, column phase and row, (outputs, 2 · inputs).
    private let weights: [PackedRows]

    /// Makes a convolution of `weight` (outputs, inputs · 9), as PyTorch has it, and a bias;
    /// `precision` is float32 or bfloat16.
    package init(kind: Kind, weight: Tensor, bias: Tensor, precision: Precision = .float32) {
        precondition(
            weight.columns % 9 == 0 && bias.columns == weight.rows,
            "nine values an input, a bias an output"
        )
        self.kind = kind
        self.bias = bias
        let (inputs, outputs) = (weight.columns / 9, weight.rows)
        self.inputs = inputs
        self.outputs = outputs
        let blocks: Tensor
        switch kind {
        case .same, .halving:
            blocks = Tensor(rows: 3 * outputs, columns: 3 * inputs)
            for dy in 0..<3 {
                for dx in 0..<3 {
                    Convolution.add(weight, dy, dx, to: blocks, row: dy * outputs, column: dx)
                }
            }
        case .doubling:
            blocks = Tensor(rows: 8 * outputs, columns: 2 * inputs)
            for phase in 0..<4 {
                for dy in 0..<3 {
                    for dx in 0..<3 {
                        let row = (dy + 1 - phase / 2) / 2
                        let column = (dx + 1 - phase % 2) / 2
                        let first = (2 * phase + row) * outputs
                        Convolution.add(weight, dy, dx, to: blocks, row: first, column: column)
                    }
                }
            }
        }
        weights = stride(from: 0, to: blocks.rows, by: outputs).map {
            PackedRows(blocks.rows($0..<$0 + outputs), precision: precision)
        }
    }

    /// Reads `name.weight` [outputs, inputs, 3, 3] and `name.bias`.
    ///
    /// - Throws: What the source throws.
    package init(
        _ name: String,
        kind: Kind = .same,
        inputs: Int,
        outputs: Int,
        from reader: LayerReader
    ) throws {
        let source = reader.source
        let weight = Tensor(rows: outputs, columns: inputs * 9)
        try source.read(
            "\(name).weight",
            shape: [outputs, inputs, 3, 3],
            into: weight.elements
        )
        try self.init(
            kind: kind,
            weight: weight,
            bias: source.vector("\(name).bias", count: outputs),
            precision: reader.precision.floating
        )
    }

    /// Adds one tap of all outputs and inputs to a block of `to`.
    private static func add(
        _ weight: Tensor,
        _ dy: Int,
        _ dx: Int,
        to: Tensor,
        row: Int,
        column: Int
    ) {
        let inputs = weight.columns / 9
        for output in 0..<weight.rows {
            let from = weight.row(output) + 3 * dy + dx
            let block = to.row(row + output) + column * inputs
            for input in 0..<inputs {
                block[input] += from[9 * input]
            }
        }
    }

    /// The weights of one row of taps: (outputs, 3 · inputs).
    func taps(_ dy: Int) -> PackedRows { weights[dy] }

    /// The weights of a row of taps of one of the four pixels that come of one: (outputs, 2 · inputs).
    func taps(phase: Int, row: Int) -> PackedRows { weights[2 * phase + row] }

    /// Values of room that the right side of a product needs.
    var room: Int { weights[0].room }

    /// The size that comes of a height or a width.
    package func size(of size: Int) -> Int {
        switch kind {
        case .same: size
        case .halving: size / 2
        case .doubling: 2 * size
        }
    }

    /// The tiles of an output of these sizes.
    package func tiles(height: Int, width: Int) -> Tiles {
        Tiles(height: height, width: width, factor: kind == .doubling ? 2 : 1)
    }
}

/// The parameters of a group normalisation.
package struct GroupNorm: Sendable {
    /// The learned factor and summand of each channel: (1, channels).
    package let weight: Tensor
    package let bias: Tensor
    package let groups: Int
    package let eps: Float

    package init(weight: Tensor, bias: Tensor, groups: Int, eps: Float) {
        precondition(
            weight.columns == bias.columns && groups > 0 && weight.columns % groups == 0,
            "groups of one size"
        )
        self.weight = weight
        self.bias = bias
        self.groups = groups
        self.eps = eps
    }

    /// Reads `name.weight` and `name.bias`.
    ///
    /// - Throws: What the source throws.
    package init(
        _ name: String,
        channels: Int,
        groups: Int,
        eps: Float,
        from source: any ParameterSource
    ) throws {
        try self.init(
            weight: source.vector("\(name).weight", count: channels),
            bias: source.vector("\(name).bias", count: channels),
            groups: groups,
            eps: eps
        )
    }

    /// What the normalisation of a picture with these moments multiplies and adds: (2, channels).
    package func factors(_ moments: Moments) -> Tensor {
        let channels = weight.columns
        precondition(moments.values.columns == 2 * channels, "moments of as many channels")
        let factors = Tensor(rows: 2, columns: channels)
        let size = channels / groups
        let total = Double(moments.counts.reduce(0, +) * size)
        for group in 0..<groups {
            let members = group * size..<(group + 1) * size
            var mean = 0.0
            for (tile, count) in moments.counts.enumerated() {
                let means = moments.values.row(tile)
                mean += members.reduce(0.0) { $0 + Double(means[$1]) } * Double(count)
            }
            mean /= total
            var squares = 0.0
            for (tile, count) in moments.counts.enumerated() {
                let means = moments.values.row(tile)
                for channel in members {
                    let distance = Double(means[channel]) - mean
                    squares +=
                        Double(means[channels + channel])
                        + distance * distance * Double(count)
                }
            }
            let inverse = 1 / (squares / total + Double(eps)).squareRoot()
            for channel in members {
                let scale = Double(weight.base[channel]) * inverse
                factors.row(0)[channel] = Float(scale)
                factors.row(1)[channel] = Float(Double(bias.base[channel]) - mean * scale)
            }
        }
        return factors
    }
}
