import Synchronization
package import Tensors

/// A file of pairs and how strongly it counts.
package struct WeightedAdapter: Sendable {
    /// The file.
    package let file: AdapterFile
    /// The factor of its products; 1 is as trained, negative takes away.
    package let strength: Float

    /// Pairs a file with its strength.
    package init(file: AdapterFile, strength: Float) {
        self.file = file
        self.strength = strength
    }
}

/// A transformer's weights with the adapters' products added.
///
/// Reading a tensor reads it from the base source, then adds, adapter by adapter in their order,
/// `strength · alpha/rank · up · down` in float32. What a read needs of an adapter is read then
/// and dropped after, so memory holds one weight's pair at a time. The values do not depend on
/// the number of threads.
package final class AdaptedSource: ParameterSource {
    private let base: any ParameterSource
    private let threads: Int
    /// For each weight that changes: the pairs, in the adapters' order.
    private let changes: [String: [(adapter: WeightedAdapter, pair: LowRankPair)]]
    /// The weights that change and were not read yet.
    private let unread: Mutex<Set<String>>

    /// Wraps a source.
    ///
    /// - Parameters:
    ///   - base: The weights without adapters.
    ///   - adapters: The adapters, in the order in which they are added.
    ///   - threads: How many threads share a product.
    package init(base: any ParameterSource, adapters: [WeightedAdapter], threads: Int) {
        var changes: [String: [(adapter: WeightedAdapter, pair: LowRankPair)]] = [:]
        for adapter in adapters {
            for pair in adapter.file.pairs {
                changes["\(pair.module).weight", default: []].append((adapter, pair))
            }
        }
        self.base = base
        self.threads = threads
        self.changes = changes
        unread = Mutex(Set(changes.keys))
    }

    package func shape(of name: String) -> [Int]? {
        base.shape(of: name)
    }

    package func read(
        _ name: String,
        shape: [Int],
        into destination: UnsafeMutableBufferPointer<Float>
    ) throws {
        try base.read(name, shape: shape, into: destination)
        try forEachChange(of: name, shape) { adapter, pair in
            try adapter.file.add(
                pair,
                strength: adapter.strength,
                to: destination,
                threads: threads
            )
        }
    }

    package func read(
        _ name: String,
        shape: [Int],
        rows: Range<Int>,
        columns: Range<Int>,
        into destination: Tensor
    ) throws {
        try base.read(name, shape: shape, rows: rows, columns: columns, into: destination)
        try forEachChange(of: name, shape) { adapter, pair in
            try adapter.file.add(
                pair,
                strength: adapter.strength,
                rows: rows,
                columns: columns,
                to: destination
            )
        }
    }

    /// Calls `body` for each pair that changes a tensor, which is noted as read.
    private func forEachChange(
        of name: String,
        _ shape: [Int],
        _ body: (WeightedAdapter, LowRankPair) throws -> Void
    ) throws {
        guard let changes = changes[name] else { return }
        for (adapter, pair) in changes {
            let values = shape.reduce(1, *)
            guard shape.count == 2, shape[1] == pair.inFeatures,
                pair.targetRows.upperBound * pair.inFeatures <= values
            else {
                throw AdapterError.shapeMismatch(
                    file: adapter.file.path,
                    key: pair.upKey,
                    side: "values for \(name)",
                    found: pair.targetRows.upperBound * pair.inFeatures,
                    expected: values
                )
            }
            try body(adapter, pair)
        }
        _ = unread.withLock { $0.remove(name) }
    }

    /// The modules that adapters change and that nothing has read, sorted.
    ///
    /// After a transformer was loaded there must be none.
    package func unusedTargets() -> [String] {
        unread.withLock { unread in unread.map { String($0.dropLast(".weight".count)) } }.sorted()
    }

    /// Checks that every pair has had its effect.
    ///
    /// - Parameter isRead: Which modules were to be read.
    /// - Throws: `AdapterError.unusedTargets` when one of them never was.
    package func requireAllUsed(
        among isRead: (_ module: String) -> Bool = { _ in true }
    ) throws(AdapterError) {
        let modules = unusedTargets().filter(isRead)
        guard modules.isEmpty else { throw .unusedTargets(modules: modules) }
    }
}
