/// One low-rank change of one module's weight: `W[targetRows] += scale · up[sourceRows] · down`.
///
/// A fused matrix of an adapter file becomes one pair for each module it was split into; they
/// share `downKey` and `upKey`.
package struct LowRankPair: Sendable, Equatable {
    /// The module, in the diffusers layout and without `.weight`.
    package let module: String
    /// The rows of the module's weight that change.
    package let targetRows: Range<Int>
    /// The rows of the up matrix that are used; as many.
    package let sourceRows: Range<Int>
    /// The tensor with the first matrix, (rank, in).
    package let downKey: String
    /// The tensor with the second matrix, (out, rank).
    package let upKey: String
    /// Rows of the down matrix, columns of the up matrix.
    package let rank: Int
    /// Columns of the module's weight.
    package let inFeatures: Int
    /// alpha / rank, or 1 when the file has no alpha.
    package let scale: Float
}
