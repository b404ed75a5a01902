package import Tensors

extension GroupLink: Reduction {
    package func sum(_ values: Tensor, in format: ReductionFormat) -> ReductionTicket {
        precondition(values.isContiguous, "a sum is over one run of values")
        return ReductionTicket(number: begin(SumOperation(values, in: format, size: size)))
    }

    package func wait(_ ticket: ReductionTicket) {
        wait(for: ticket.number)
    }

    package func gather(_ values: Tensor, columns parts: [Range<Int>]) {
        precondition(
            parts.count == size
                && parts.allSatisfy { $0.lowerBound >= 0 && $0.upperBound <= values.columns },
            "each rank has columns of the values"
        )
        wait(for: begin(GatherOperation(values, columns: parts)))
    }
}

extension GroupLink {
    /// Sums values over the ranks, each of which gets its own rows of the sum, as `sum` adds them;
    /// the other rows are undefined afterwards.
    ///
    /// - Throws: `LinkError` when the link has failed.
    package func reduceScatter(
        _ values: Tensor,
        rows parts: [Range<Int>],
        in format: ReductionFormat
    ) throws(LinkError) {
        precondition(values.isContiguous, "a sum is over one run of values")
        precondition(
            parts.count == size
                && parts.allSatisfy { $0.lowerBound >= 0 && $0.upperBound <= values.rows },
            "each rank has rows of the values"
        )
        try run(SumOperation(values, rows: parts, in: format))
    }

    /// Copies memory of the same length from one rank to all.
    ///
    /// - Throws: `LinkError` when the link has failed.
    package func broadcast(
        _ memory: UnsafeMutableRawBufferPointer,
        from root: Int
    ) throws(LinkError) {
        precondition((0..<size).contains(root), "a rank is one of the group")
        try run(BroadcastOperation(memory: memory, root: root))
    }

    /// Returns when every rank has called it.
    ///
    /// - Throws: `LinkError` when the link has failed.
    package func barrier() throws(LinkError) {
        try run(BarrierOperation())
    }

    /// Measures how fast the link is; every rank calls it, while nothing else is under way.
    ///
    /// - Returns: Nil for a group of one.
    /// - Throws: `LinkError` when the link has failed.
    package func measure() throws(LinkError) -> LinkSpeed? {
        let result = Monitor<LinkSpeed?>(nil)
        try run(MeasureOperation(result: result))
        return result.read(\.self)
    }
}
