/// What a forward takes in a group that splits a FLUX transformer's blocks: a rank's share of the
/// arithmetic, and of the sums over the ranks what does not hide behind it.
///
/// A sum of the ranks' products travels in chunks of rows beside the arithmetic, and a block waits
/// for its last one. A chunk is on its way when its products are computed, the link is free, and at
/// most two others are on theirs; it takes the link for 2·(n − 1)/n of its bytes, and arrives after
/// three ways more: the notice that it is awaited, the part to the rank that adds, the sum back.
package struct GroupStep: Hashable, Sendable {
    package let ranks: Int
    package let blocks: BlockSizes
    /// Tokens of one forward, and how many of them are text.
    package let tokens: Int
    package let textTokens: Int
    /// How a value travels.
    package let bytesPerValue: Int
    /// Seconds of a small message to another rank and back.
    package let roundTrip: Double
    /// What a rank sends while all send.
    package let bytesPerSecond: Double

    /// Rows of a chunk, as the engine cuts them.
    private static let chunkRows = 384
    /// Chunks on their way at once.
    private static let underWay = 3
    /// Steps whose modulating vectors are gathered together.
    package static let gatheredSteps = 32

    package init(
        ranks: Int,
        blocks: BlockSizes,
        tokens: Int,
        textTokens: Int,
        bytesPerValue: Int,
        roundTrip: Double,
        bytesPerSecond: Double
    ) {
        self.ranks = ranks
        self.blocks = blocks
        self.tokens = tokens
        self.textTokens = textTokens
        self.bytesPerValue = bytesPerValue
        self.roundTrip = roundTrip
        self.bytesPerSecond = bytesPerSecond
    }

    /// What a forward takes.
    ///
    /// - Parameter alone: What it takes one rank that has the whole model, in seconds.
    /// - Returns: Seconds.
    package func seconds(alone: Double) -> Double {
        alone / Double(ranks) + exposedSeconds(alone: alone)
    }

    /// The part of the sums that the arithmetic waits for.
    ///
    /// - Parameter alone: What a forward takes one rank that has the whole model, in seconds.
    /// - Returns: Seconds.
    package func exposedSeconds(alone: Double) -> Double {
        guard ranks > 1 else { return 0 }
        let double =
            exposed(attentionOut, alone: alone) + exposed(feedForwardOut, alone: alone)
        return Double(blocks.doubleBlocks) * double
            + Double(blocks.singleBlocks) * exposed(singleOut, alone: alone)
    }

    /// What the vectors that modulate the blocks take to gather for ``gatheredSteps`` steps, in
    /// seconds.
    package var gatherSeconds: Double {
        guard ranks > 1 else { return 0 }
        let vectors = 12 * Double(blocks.doubleBlocks) + 3 * Double(blocks.singleBlocks)
        let values = Double(blocks.hidden) * vectors
        let bytes = values * Double(MemoryLayout<Float>.stride)
        return roundTrip + bytes * Double(ranks - 1) / Double(ranks) / bytesPerSecond
    }

    // MARK: - Additions to the stream

    /// Rows that are multiplied, and summed over the ranks when they are.
    private struct Stretch {
        let rows: Int
        /// Of the layer that is summed, before it is split.
        let inputs: Double
        /// What is computed before, in inputs of a product of the same rows and outputs.
        var before = 0.0
    }

    /// Of a double block's attention: text and picture, one after the other.
    private var attentionOut: [Stretch] {
        [
            Stretch(rows: textTokens, inputs: Double(blocks.hidden)),
            Stretch(rows: tokens - textTokens, inputs: Double(blocks.hidden)),
        ]
    }

    /// Of its feed-forward layers: the text's sum is under way while the picture's begins.
    private var feedForwardOut: [Stretch] {
        let mlp = Double(blocks.mlp)
        return [
            Stretch(rows: textTokens, inputs: mlp),
            Stretch(rows: tokens - textTokens, inputs: mlp, before: mlp),
        ]
    }

    /// Of a single block.
    private var singleOut: [Stretch] {
        [Stretch(rows: tokens, inputs: Double(blocks.hidden) + Double(blocks.mlp))]
    }

    /// Seconds from the last product of an addition until its last chunk has come.
    private func exposed(_ stretches: [Stretch], alone: Double) -> Double {
        let speed = operations / alone
        var (computed, free) = (0.0, 0.0)
        var arrivals: [Double] = []
        for stretch in stretches where stretch.rows > 0 {
            let row = 2 * Double(blocks.hidden) / Double(ranks) / speed
            computed += Double(stretch.rows) * stretch.before * row
            let chunks = (stretch.rows + Self.chunkRows - 1) / Self.chunkRows
            let rows = Double(stretch.rows) / Double(chunks)
            let bytes = rows * Double(blocks.hidden) * Double(bytesPerValue)
            for _ in 0..<chunks {
                computed += rows * stretch.inputs * row
                let turn = arrivals.dropLast(Self.underWay - 1).last ?? 0
                let sent = 2 * bytes * Double(ranks - 1) / Double(ranks) / bytesPerSecond
                free = max(computed, free, turn) + sent
                arrivals.append(free + 1.5 * roundTrip)
            }
        }
        return max(0, (arrivals.last ?? 0) - computed)
    }

    /// The work of a forward alone: products and attention.
    private var operations: Double {
        let count = Double(tokens)
        return blocks.flopsPerToken * count + blocks.flopsPerTokenPair * count * count
    }
}
