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
        let width = Double(hidden)
        let attention = 4 * width * width
        let feedForward = 2 * width * Double(mlp)
        return 2 * blocks * (attention + feedForward)
    }

    /// Of one forward, for each pair of tokens: scores, and their sum of values.
    var flopsPerTokenPair: Double {
        4 * blocks * Double(hidden)
    }

    private var blocks: Double { Double(doubleBlocks) + Double(singleBlocks) }

    /// What cannot be a model's, in words; nil where nothing is.
    var problem: String? {
        let counts = [("double_blocks", doubleBlocks), ("single_blocks", singleBlocks)]
        let widths = [("hidden", hidden), ("mlp", mlp)]
        for (name, count) in counts where !(0...65_536).contains(count) {
            return "'blocks.\(name)' is \(count) and has to be 0 to 65536"
        }
        for (name, width) in widths where !(1...4_194_304).contains(width) {
            return "'blocks.\(name)' is \(width) and has to be 1 to 4194304"
        }
        return nil
    }
}
