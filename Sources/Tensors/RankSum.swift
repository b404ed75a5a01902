import CKernels

/// The arithmetic of sums over the ranks of a group.
package enum RankSum {
    /// Rounds values to bfloat16, ties to even.
    package static func narrow(
        _ destination: UnsafeMutablePointer<UInt16>,
        from values: UnsafeBufferPointer<Float>
    ) {
        guard let base = values.baseAddress else { return }
        kernel_narrow_bf16(destination, base, values.count)
    }

    /// Widens as many values of bfloat16 as the destination has.
    package static func widen(
        _ destination: UnsafeMutableBufferPointer<Float>,
        from halves: UnsafePointer<UInt16>
    ) {
        guard let base = destination.baseAddress else { return }
        kernel_widen_bf16(base, halves, destination.count)
    }

    /// Adds the other ranks' values to the own, in the order of ranks.
    ///
    /// - Parameters:
    ///   - values: The own values, then the sum.
    ///   - rank: The own place in the order of ranks.
    ///   - parts: The values of the other ranks in their order, one after the other.
    package static func add(
        _ values: UnsafeMutableBufferPointer<Float>,
        of rank: Int,
        to parts: UnsafeBufferPointer<Float>
    ) {
        guard let base = values.baseAddress, let first = parts.baseAddress else { return }
        let others = others(first, every: values.count, of: parts.count)
        kernel_sum_ranks_f32(base, others, others.count, rank, values.count)
    }

    /// Adds the other ranks' values in bfloat16 to the own, in the order of ranks, and rounds the
    /// sum to bfloat16.
    ///
    /// - Parameters:
    ///   - values: The own values, then the rounded sum.
    ///   - rounded: Gets the rounded sum.
    ///   - rank: The own place in the order of ranks.
    ///   - parts: The values of the other ranks in their order, one after the other.
    package static func add(
        _ values: UnsafeMutableBufferPointer<Float>,
        rounded: UnsafeMutablePointer<UInt16>,
        of rank: Int,
        to parts: UnsafeBufferPointer<UInt16>
    ) {
        guard let base = values.baseAddress, let first = parts.baseAddress else { return }
        let others = others(first, every: values.count, of: parts.count)
        kernel_sum_ranks_bf16(base, rounded, others, others.count, rank, values.count)
    }

    private static func others<Value>(
        _ first: UnsafePointer<Value>,
        every count: Int,
        of total: Int
    ) -> [UnsafePointer<Value>?] {
        stride(from: 0, to: total, by: max(count, 1)).map { first + $0 }
    }
}
