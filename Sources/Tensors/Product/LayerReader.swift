/// Reads a network's layers from a source, in one precision.
package struct LayerReader: Sendable {
    package let source: any ParameterSource
    /// What the products of the layers are computed in.
    package var precision: Precision
    /// How many threads share the packing.
    package let threads: Int
    /// Where the layers are entered that low-rank branches may be added to, or nil.
    package let branches: BranchTable?
    /// Where packed weights are saved while they are read, or nil.
    private let store: PackedStoreWriter?

    package init(
        _ source: any ParameterSource,
        precision: Precision = .float32,
        threads: Int = 1,
        branches: BranchTable? = nil
    ) {
        self.source = source
        self.precision = precision
        self.threads = threads
        self.branches = branches
        store = nil
    }

    /// Reads what a store reads, and saves it there.
    ///
    /// A weight goes once it is saved, so that memory holds one layer at a time: the network that is
    /// read has no weights to compute with.
    package init(saving store: PackedStoreWriter, precision: Precision, threads: Int) {
        source = store
        self.precision = precision
        self.threads = threads
        branches = nil
        self.store = store
    }

    /// The reader for layers whose products are computed in float32 or bfloat16 even where the
    /// others are in bytes.
    package var floating: LayerReader { reader(in: precision.floating) }

    /// The reader for layers whose weights keep eight bits where the others' have four.
    package var finer: LayerReader { reader(in: precision.operand) }

    /// The reader for layers whose products are computed in float32 in every precision.
    package var exact: LayerReader { reader(in: .float32) }

    private func reader(in precision: Precision) -> LayerReader {
        var reader = self
        reader.precision = precision
        return reader
    }

    /// Reads `name.weight` (outputs, inputs) and, when asked for, `name.bias` (outputs).
    package func linear(
        _ name: String,
        inputs: Int,
        outputs: Int,
        bias: Bool = true
    ) throws -> Linear {
        try linear(fusing: [(name, outputs)], inputs: [inputs], bias: bias)
    }

    /// Reads several layers of the same input into one, their outputs one after the other.
    ///
    /// - Parameters:
    ///   - parts: Each layer's name and count of outputs.
    ///   - inputs: The width of the common input, cut into what comes as operands of their own.
    ///   - bias: Whether the layers have biases.
    /// - Returns: The layer.
    /// - Throws: What the source throws.
    package func linear(
        fusing parts: [(name: String, outputs: Int)],
        inputs: [Int],
        bias: Bool = true
    ) throws -> Linear {
        let outputs = parts.reduce(0) { $0 + $1.outputs }
        let own = branches.map { _ in
            LowRankBranches(inputs: inputs, outputs: outputs, precision.operand)
        }
        let biases = bias ? Tensor(rows: 1, columns: outputs) : nil
        var row = 0
        for (name, count) in parts {
            if let biases {
                try source.read(
                    "\(name).bias",
                    shape: [count],
                    into: biases.columns(row..<row + count).elements
                )
            }
            if let own { branches?.enter(name, own, firstOutput: row) }
            row += count
        }
        let weights =
            try source.packed(parts, inputs: inputs, precision)
            ?? pack(parts, inputs: inputs, outputs: outputs)
        return Linear(
            name: PackedLayer.name(parts.map(\.name)),
            weights: weights,
            bias: biases,
            branches: own
        )
    }

    private func pack(
        _ parts: [(name: String, outputs: Int)],
        inputs: [Int],
        outputs: Int
    ) throws -> [PackedMatrix] {
        let width = inputs.reduce(0, +)
        let weight = Tensor(rows: outputs, columns: width)
        var row = 0
        for (name, count) in parts {
            try (store?.base ?? source).read(
                "\(name).weight",
                shape: [count, width],
                into: weight.rows(row..<row + count).elements
            )
            row += count
        }
        let weights = PackedMatrix.parts(
            of: weight,
            inputs: inputs,
            precision: precision,
            threads: threads
        )
        guard let store else { return weights }
        try store.append(
            parts.map(\.name),
            PackedLayer(precision: precision, outputs: parts.map(\.outputs), inputs: inputs),
            weights
        )
        return weights.map(\.emptied)
    }

    /// Reads a table of embeddings: bfloat16 unless all is in float32.
    package func embeddings(_ name: String, rows: Int, columns: Int) throws -> EmbeddingTable {
        let table = Tensor(rows: rows, columns: columns)
        try (store?.base ?? source).read(name, shape: [rows, columns], into: table.elements)
        let embeddings = EmbeddingTable(table, precision: precision)
        if let store {
            let (type, bytes) = embeddings.stored
            try store.append(name, type, [rows, columns], bytes)
        }
        return embeddings
    }
}
