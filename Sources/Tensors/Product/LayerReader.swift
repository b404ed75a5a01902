/// Reads a network's layers from a source, in one precision.
package struct LayerReader: Sendable {
    package let source: any ParameterSource
    /// What the products of the layers are computed in.
    package var precision: Precision
    /// How many threads share the packing.
    package let threads: Int
    /// The part of split layers that is read.
    package let shard: Shard
    /// Where the layers are entered that low-rank branches may be added to, or nil.
    package let branches: BranchTable?
    /// Where packed weights are saved while they are read, or nil.
    private let store: PackedStoreWriter?

    package init(
        _ source: any ParameterSource,
        precision: Precision = .float32,
        threads: Int = 1,
        branches: BranchTable? = nil,
        shard: Shard = .whole
    ) {
        self.source = source
        self.precision = precision
        self.threads = threads
        self.shard = shard
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
        shard = .whole
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
        bias: Bool = true,
        split: LayerSplit = .whole
    ) throws -> Linear {
        try linear(fusing: [(name, outputs)], inputs: [inputs], bias: bias, split: split)
    }

    /// Reads several layers of the same input into one, their outputs one after the other.
    ///
    /// - Parameters:
    ///   - parts: Each layer's name and count of outputs.
    ///   - inputs: The width of the common input, cut into what comes as operands of their own.
    ///   - bias: Whether the layers have biases.
    ///   - split: How the layers are split over the ranks of a group; a rank reads its part.
    /// - Returns: The layer.
    /// - Throws: What the source throws.
    package func linear(
        fusing parts: [(name: String, outputs: Int)],
        inputs: [Int],
        bias: Bool = true,
        split: LayerSplit = .whole
    ) throws -> Linear {
        let part = LayerPart(shard, split, outputs: parts.map(\.outputs), inputs: inputs)
        let outputs = part.outputs.reduce(0) { $0 + $1.count }
        let own = branches.map { _ in
            LowRankBranches(
                inputs: inputs,
                part: part.inputs,
                outputs: outputs,
                precision.operand
            )
        }
        let biases = bias ? Tensor(rows: 1, columns: outputs) : nil
        var row = 0
        for ((name, count), range) in zip(parts, part.outputs) {
            if let biases {
                try read(bias: "\(name).bias", count, range, into: biases, at: row)
            }
            if let own { branches?.enter(name, own, outputs: range, firstOutput: row) }
            row += range.count
        }
        let weights =
            try packed(parts, inputs: inputs, part)
            ?? pack(parts, inputs: inputs, part, outputs: outputs)
        return Linear(
            name: PackedLayer.name(parts.map(\.name)),
            weights: weights,
            bias: biases,
            branches: own,
            isPartial: part.isPartial,
            split: split
        )
    }

    /// The part of a weight that was packed before; nothing else of it stays in memory.
    private func packed(
        _ parts: [(name: String, outputs: Int)],
        inputs: [Int],
        _ part: LayerPart
    ) throws -> [PackedMatrix]? {
        let packed = try source.packed(
            parts,
            inputs: inputs,
            precision,
            isAllWanted: !part.isSplit
        )
        guard let weights = packed else { return nil }
        guard part.isSplit else { return weights }
        var outputs: [Range<Int>] = []
        var first = 0
        for ((_, count), range) in zip(parts, part.outputs) {
            outputs.append(first + range.lowerBound..<first + range.upperBound)
            first += count
        }
        return zip(weights, part.inputs).map { weight, inputs in
            defer { weight.letGo() }
            return weight.part(outputs: outputs, inputs: inputs)
        }
    }

    private func read(
        bias name: String,
        _ count: Int,
        _ range: Range<Int>,
        into biases: Tensor,
        at first: Int
    ) throws {
        let whole = Tensor(rows: 1, columns: count)
        try source.read(name, shape: [count], into: whole.elements)
        biases.columns(first..<first + range.count).copy(from: whole.columns(range))
    }

    private func pack(
        _ parts: [(name: String, outputs: Int)],
        inputs: [Int],
        _ part: LayerPart,
        outputs: Int
    ) throws -> [PackedMatrix] {
        let own = part.inputs.map(\.count)
        let width = inputs.reduce(0, +)
        let weight = Tensor(rows: outputs, columns: own.reduce(0, +))
        var row = 0
        for ((name, count), rows) in zip(parts, part.outputs) {
            let weight = weight.rows(row..<row + rows.count)
            try read("\(name).weight", [count, width], rows, inputs, part.inputs, into: weight)
            row += rows.count
        }
        let weights = PackedMatrix.parts(
            of: weight,
            inputs: own,
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

    /// Reads some rows of a weight, and of each part of its inputs some columns.
    private func read(
        _ name: String,
        _ shape: [Int],
        _ rows: Range<Int>,
        _ inputs: [Int],
        _ ranges: [Range<Int>],
        into weight: Tensor
    ) throws {
        let source = store?.base ?? source
        guard rows.count < shape[0] || weight.columns < shape[1] else {
            return try source.read(name, shape: shape, into: weight.elements)
        }
        var (first, column) = (0, 0)
        for (count, range) in zip(inputs, ranges) {
            try source.read(
                name,
                shape: shape,
                rows: rows,
                columns: first + range.lowerBound..<first + range.upperBound,
                into: weight.columns(column..<column + range.count)
            )
            first += count
            column += range.count
        }
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
