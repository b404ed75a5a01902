/// A linear layer's parameters: y = x·Wᵀ + b.
package struct Linear: Sendable {
    /// The weight: (outputs, inputs).
    package let weight: Tensor
    /// The bias: (1, outputs), or nil when the layer has none.
    package let bias: Tensor?

    package var inputs: Int { weight.columns }
    package var outputs: Int { weight.rows }

    package init(weight: Tensor, bias: Tensor?) {
        precondition(bias.map { $0.columns == weight.rows } ?? true, "a bias a row of the weight")
        self.weight = weight
        self.bias = bias
    }

    /// Reads `name.weight` (outputs, inputs) and, when asked for, `name.bias` (outputs).
    package init(
        _ name: String,
        inputs: Int,
        outputs: Int,
        bias: Bool = true,
        from source: any ParameterSource
    ) throws {
        try self.init(fusing: [(name, outputs)], inputs: inputs, bias: bias, from: source)
    }

    /// Reads several layers of the same input into one, their outputs one after the other.
    ///
    /// - Parameters:
    ///   - parts: Each layer's name and count of outputs.
    ///   - inputs: The width of the common input.
    ///   - bias: Whether the layers have biases.
    ///   - source: Where the parameters come from.
    /// - Throws: What the source throws.
    package init(
        fusing parts: [(name: String, outputs: Int)],
        inputs: Int,
        bias: Bool = true,
        from source: any ParameterSource
    ) throws {
        let outputs = parts.reduce(0) { $0 + $1.outputs }
        let weight = Tensor(rows: outputs, columns: inputs)
        let biases = bias ? Tensor(rows: 1, columns: outputs) : nil
        var row = 0
        for (name, count) in parts {
            try source.read(
                "\(name).weight",
                shape: [count, inputs],
                into: weight.rows(row..<row + count).elements
            )
            if let biases {
                try source.read(
                    "\(name).bias",
                    shape: [count],
                    into: biases.columns(row..<row + count).elements
                )
            }
            row += count
        }
        self.init(weight: weight, bias: biases)
    }

    /// The layer that gives some of the outputs; it shares this one's memory.
    package func outputs(_ range: Range<Int>) -> Linear {
        Linear(weight: weight.rows(range), bias: bias?.columns(range))
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
