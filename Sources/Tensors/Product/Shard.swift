/// One rank's part of weights that are split over the ranks of a group: by heads and by columns of
/// the feed-forward layers, as Megatron-LM does (Shoeybi et al., 2019, arXiv:1909.08053).
package struct Shard: Sendable, Hashable {
    package let rank: Int
    package let size: Int

    /// The whole of everything.
    package static let whole = Shard(rank: 0, size: 1)

    package init(rank: Int, size: Int) {
        precondition(rank >= 0 && rank < size, "rank \(rank) is one of \(size)")
        self.rank = rank
        self.size = size
    }

    package var isWhole: Bool { size == 1 }

    /// This rank's part of `count` values, in whole units.
    package func range(of count: Int, unit: Int) -> Range<Int> {
        let units = (count + unit - 1) / unit
        let first = units * rank / size
        let end = units * (rank + 1) / size
        return min(first * unit, count)..<min(end * unit, count)
    }

    /// The parts of all ranks, in their order.
    package func ranges(of count: Int, unit: Int) -> [Range<Int>] {
        (0..<size).map { Shard(rank: $0, size: size).range(of: count, unit: unit) }
    }

    /// The unit in which plain columns are split: whole panels where that leaves the parts nearly
    /// equal, fewer in small models.
    package func unit(of count: Int) -> Int {
        var unit = Panel.columns
        while unit > 8, count / unit < 32 * size { unit /= 2 }
        return unit
    }
}

/// How a layer is split over the ranks of a group.
package enum LayerSplit: Sendable, Hashable {
    /// Every rank has all of it.
    case whole
    /// Each rank computes some outputs, in whole units.
    case outputs(unit: Int)
    /// Each rank computes with some of each part of the inputs, a unit a part; the sum over the ranks
    /// is the layer's.
    case inputs(units: [Int])
}

/// The rows and columns of a layer's weight that a rank has.
struct LayerPart: Sendable, Equatable {
    /// Of each of the layer's modules, the outputs.
    let outputs: [Range<Int>]
    /// Of each part of the inputs, those in it, counted from its own first.
    let inputs: [Range<Int>]
    /// Whether it is not all of the layer.
    let isSplit: Bool
    /// Whether the products are a part of a sum over the ranks.
    let isPartial: Bool

    init(_ shard: Shard, _ split: LayerSplit, outputs: [Int], inputs: [Int]) {
        let split = shard.isWhole ? .whole : split
        isSplit = split != .whole
        switch split {
        case .whole:
            self.outputs = outputs.map { 0..<$0 }
            self.inputs = inputs.map { 0..<$0 }
            isPartial = false
        case .outputs(let unit):
            self.outputs = outputs.map { shard.range(of: $0, unit: unit) }
            self.inputs = inputs.map { 0..<$0 }
            isPartial = false
        case .inputs(let units):
            precondition(units.count == inputs.count, "a unit a part of the inputs")
            self.outputs = outputs.map { 0..<$0 }
            self.inputs = zip(inputs, units).map { shard.range(of: $0, unit: $1) }
            isPartial = true
        }
    }
}
