import Synchronization

/// Low-rank products beside a layer's weight: y = x·Wᵀ + Σ (x·downᵀ)·upᵀ + b.
///
/// They are computed from the operands of the weight itself, so that adapters come and go while
/// the weight stays packed in whatever precision it is.
package final class LowRankBranches: Sendable {
    /// One pair, for some of the layer's outputs.
    struct Branch: Sendable {
        /// The first matrix, cut as the layer's inputs are: (rank, inputs).
        let down: [PackedMatrix]
        /// The second matrix, its rows before the first output in its panel zero.
        let up: PackedMatrix
        /// The first panel of outputs that it adds to.
        let firstPanel: Int
    }

    /// The layer's inputs, as they come in parts.
    private let inputs: [Int]
    /// Of each part, those that are computed with here.
    private let part: [Range<Int>]
    private let outputs: Int
    private let precision: Precision
    private let added = Mutex<[Branch]>([])

    init(inputs: [Int], part: [Range<Int>], outputs: Int, _ precision: Precision) {
        self.inputs = inputs
        self.part = part
        self.outputs = outputs
        self.precision = precision
    }

    /// What is added now.
    var branches: [Branch] { added.withLock { $0 } }

    /// Adds (x·downᵀ)·upᵀ to outputs from `first` on.
    ///
    /// - Parameters:
    ///   - down: (rank, inputs)
    ///   - up: (outputs of the pair, rank), with everything that it is multiplied by.
    ///   - first: The first output.
    fileprivate func add(down: Tensor, up: Tensor, first: Int) {
        precondition(
            down.columns == inputs.reduce(0, +) && up.columns == down.rows
                && first + up.rows <= outputs,
            "a pair fits its layer"
        )
        let firstPanel = first / Panel.columns
        let before = first - firstPanel * Panel.columns
        let padded = Tensor(rows: before + up.rows, columns: up.columns)
        padded.rows(before..<padded.rows).copy(from: up)
        var (begin, own) = (0, [PackedMatrix]())
        for (count, range) in zip(inputs, part) {
            let columns = begin + range.lowerBound..<begin + range.upperBound
            own.append(PackedMatrix(down.columns(columns), precision: precision))
            begin += count
        }
        let branch = Branch(
            down: own,
            up: PackedMatrix(padded, precision: precision.floating),
            firstPanel: firstPanel
        )
        added.withLock { $0.append(branch) }
    }

    fileprivate func removeAll() {
        added.withLock { $0 = [] }
    }
}

/// The layers of a network that low-rank branches may be added to, by their names.
package final class BranchTable: Sendable {
    private struct Place: Sendable {
        let branches: LowRankBranches
        /// The layer's outputs that are computed here.
        let outputs: Range<Int>
        let firstOutput: Int
    }

    private let places = Mutex<[String: Place]>([:])

    package init() {}

    func enter(
        _ name: String,
        _ branches: LowRankBranches,
        outputs: Range<Int>,
        firstOutput: Int
    ) {
        let place = Place(branches: branches, outputs: outputs, firstOutput: firstOutput)
        places.withLock { $0[name] = place }
    }

    /// Whether a layer has that name.
    package func contains(_ name: String) -> Bool {
        places.withLock { $0[name] != nil }
    }

    /// Adds a pair to a layer, or what is of it here; not while the network computes.
    ///
    /// - Parameters:
    ///   - name: The layer's name.
    ///   - down: (rank, inputs)
    ///   - up: (outputs of the pair, rank), with everything that it is multiplied by.
    ///   - firstOutput: The first of the layer's outputs that it adds to.
    package func add(_ name: String, down: Tensor, up: Tensor, firstOutput: Int) {
        guard let place = places.withLock({ $0[name] }) else {
            preconditionFailure("no layer is named \(name)")
        }
        let own = place.outputs.clamped(to: firstOutput..<firstOutput + up.rows)
        guard !own.isEmpty else { return }
        place.branches.add(
            down: down,
            up: up.rows(own.lowerBound - firstOutput..<own.upperBound - firstOutput),
            first: place.firstOutput + own.lowerBound - place.outputs.lowerBound
        )
    }

    /// Takes all branches away; not while the network computes.
    package func removeAll() {
        for place in places.withLock({ Array($0.values) }) {
            place.branches.removeAll()
        }
    }
}
