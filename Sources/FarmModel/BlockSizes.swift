/// The sizes of a FLUX transformer's blocks.
package struct BlockSizes: Codable, Hashable, Sendable {
    /// Count of double-stream blocks.
    package var doubleBlocks: Int
    /// Count of single-stream blocks.
    package var singleBlocks: Int
    /// Width of the residual stream: heads times the width of a head.
    package var hidden: Int
    /// Width of the feed-forward layers.
    package var mlp: Int

    package init(doubleBlocks: Int, singleBlocks: Int, hidden: Int, mlp: Int) {
        self.doubleBlocks = doubleBlocks
        self.singleBlocks = singleBlocks
        self.hidden = hidden
        self.mlp = mlp
    }
}

/// Work that follows from the sizes; a multiplication and an addition count as two operations.
///
/// Norms, activations and what is done once a step (modulation, time and text vectors) are left
/// out: together they are below one percent at FLUX.1's size.
extension BlockSizes {
    /// Of one forward, for each token: the matrices that it goes through.
    ///
    /// In a double block a token passes its own stream's query, key, value and output matrices and
    /// the two of the feed-forward; in a single block the fused ones, which are as large.
    var flopsPerToken: Double {
        let attention = 4 * hidden * hidden
        let feedForward = 2 * hidden * mlp
        return Double(2 * (doubleBlocks + singleBlocks) * (attention + feedForward))
    }

    /// Of one forward, for each pair of tokens: scores, and their sum of values.
    var flopsPerTokenPair: Double {
        Double(2 * (doubleBlocks + singleBlocks) * 2 * hidden)
    }
}
