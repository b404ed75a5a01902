/// A linear layer's parameters: y = x·Wᵀ + b.
package struct Linear: Sendable {
    /// What its parameters are called, those of several joined by `+`; empty for a layer that was not
    /// read.
    package let name: String
    /// The weight (outputs, inputs), cut along its inputs where they are given in parts.
    package let weights: [PackedMatrix]
    /// The bias: (1, outputs), or nil when the layer has none.
    package let bias: Tensor?
    /// What is added to the weight while it stays as it is, or nil where nothing can be.
    package let branches: LowRankBranches?
    /// Whether its products are a part of a sum over the ranks of a group; the bias is the sum's.
    package let isPartial: Bool
    /// How it is split where there is a group.
    private let split: LayerSplit

    package var inputs: Int { weights.reduce(0) { $0 + $1.inputs } }
    package var outputs: Int { weights[0].outputs }
    /// What its operands are in.
    package var precision: Precision { weights[0].precision.operand }

    /// Bytes of its parameters.
    package var parameterBytes: ParameterBytes {
        let weights = weights.reduce(0) { $0 + $1.bytes }
        let bias = bias?.parameterBytes ?? ParameterBytes()
        return switch split {
        case .whole: ParameterBytes(replicated: weights) + bias
        case .outputs: ParameterBytes(split: weights + bias.replicated)
        case .inputs: ParameterBytes(split: weights) + bias
        }
    }

    /// Packs a layer.
    ///
    /// - Parameters:
    ///   - weight: The weight: (outputs, inputs).
    ///   - bias: The bias: (1, outputs), or nil.
    ///   - precision: What products with it are computed in.
    ///   - parts: Counts of inputs that come as operands of their own; nil for all in one.
    ///   - threads: How many threads share the packing.
    package init(
        weight: Tensor,
        bias: Tensor?,
        precision: Precision = .float32,
        parts: [Int]? = nil,
        threads: Int = 1
    ) {
        let parts = parts ?? [weight.columns]
        precondition(parts.reduce(0, +) == weight.columns, "the parts are all inputs")
        let weights = PackedMatrix.parts(
            of: weight,
            inputs: parts,
            precision: precision,
            threads: threads
        )
        self.init(name: "", weights: weights, bias: bias, branches: nil)
    }

    /// A layer of packed weights, one a part of its inputs.
    init(
        name: String,
        weights: [PackedMatrix],
        bias: Tensor?,
        branches: LowRankBranches?,
        isPartial: Bool = false,
        split: LayerSplit = .whole
    ) {
        self.name = name
        self.isPartial = isPartial
        self.split = split
        precondition(
            bias.map { $0.columns == weights[0].outputs } ?? true,
            "a bias a row of the weight"
        )
        self.weights = weights
        self.bias = bias
        self.branches = branches
    }
}

/// What follows a linear layer, computed while its output is still in the cache.
package enum Activation: Sendable {
    case identity
    /// GELU by tanh, as FLUX and T5 have it.
    case geluTanh
    case silu
    /// x·σ(1.702 x), as CLIP has it.
    case quickGELU
}

extension ParameterSource {
    /// Reads a vector as a matrix of one row.
    package func vector(_ name: String, count: Int) throws -> Tensor {
        let vector = Tensor(rows: 1, columns: count)
        try read(name, shape: [count], into: vector.elements)
        return vector
    }

    /// Reads a matrix.
    package func matrix(_ name: String, rows: Int, columns: Int) throws -> Tensor {
        let matrix = Tensor(rows: rows, columns: columns)
        try read(name, shape: [rows, columns], into: matrix.elements)
        return matrix
    }
}
