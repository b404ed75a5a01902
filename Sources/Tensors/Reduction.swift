/// What values are sent as when they are summed over the ranks of a group.
package enum ReductionFormat: String, Sendable {
    case float32, bfloat16
}

/// Names a reduction that was begun.
package struct ReductionTicket: Sendable, Hashable {
    package let number: Int

    package init(number: Int) {
        self.number = number
    }
}

/// Sums and copies over the ranks of a group that compute one network together.
///
/// Every rank begins the same reductions in the same order. They run one after the other on a
/// thread of their own, beside the arithmetic. After a failure nothing is summed any more:
/// operations return at once, what they leave is undefined, and `failure` says why; who computes
/// looks at it between blocks.
package protocol Reduction: AnyObject, Sendable {
    /// This process's place, from 0 on.
    var rank: Int { get }
    /// How many ranks there are.
    var size: Int { get }
    /// Why nothing more comes of it, or nil while all is well.
    var failure: (any Error)? { get }

    /// Begins to sum values (rows, columns; contiguous) over the ranks, in place: float32 in
    /// memory, sent in `format`.
    ///
    /// Each rank has the same bits afterwards: one rank adds up each part, its own value in
    /// float32 and the others' as they were sent, in the order of ranks, and (in bfloat16) rounds
    /// the sum, which all then take, it too. The memory is not to be touched before `wait`
    /// returns.
    func sum(_ values: Tensor, in format: ReductionFormat) -> ReductionTicket

    /// Waits until a reduction is over, or has failed.
    func wait(_ ticket: ReductionTicket)

    /// Copies columns from the ranks that have them to all: rank r has filled `parts[r]` of each
    /// row, and afterwards all are filled. float32. Returns when it is done.
    func gather(_ values: Tensor, columns parts: [Range<Int>])
}
