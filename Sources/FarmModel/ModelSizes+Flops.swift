/// Work of the other networks, which follows from their sizes; a multiplication and an addition
/// count as two operations.
extension ModelSizes {
    /// Of one forward of T5, for each token.
    ///
    /// Four matrices of the attention, three of the gated feed-forward, and the attention over all
    /// tokens; CLIP's part is below two percent.
    var textFlopsPerToken: Double {
        let matrices = 4 * t5.model * t5.inner + 3 * t5.model * t5.feedForward
        return Double(2 * t5.layers * (matrices + 2 * t5.inner * textTokens))
    }

    /// Of the autoencoder's decoder, for each pixel of the picture.
    var decoderFlopsPerPixel: Double {
        var sum = 0.0
        var width = autoencoderChannels.last ?? 0
        for (level, channels) in autoencoderChannels.enumerated().reversed() {
            sum += Self.residualBlocks(autoencoderLayers + 1, from: width, to: channels, level)
            // What makes the next finer level's pixels.
            if level > 0 { sum += Self.convolution(channels, channels, level - 1) }
            width = channels
        }
        return 2 * (sum + ends(autoencoderChannels.first ?? 0) + middle)
    }

    /// Of the autoencoder's encoder, for each pixel of a reference.
    var encoderFlopsPerPixel: Double {
        var sum = 0.0
        var width = autoencoderChannels.first ?? 0
        for (level, channels) in autoencoderChannels.enumerated() {
            sum += Self.residualBlocks(autoencoderLayers, from: width, to: channels, level)
            if level < autoencoderChannels.count - 1 {
                sum += Self.convolution(channels, channels, level + 1)
            }
            width = channels
        }
        return 2 * (sum + ends(autoencoderChannels.first ?? 0) + middle)
    }

    /// The coarsest level's two blocks and its attention's four matrices, for each pixel of the
    /// picture.
    private var middle: Double {
        let width = autoencoderChannels.last ?? 0
        let level = autoencoderChannels.count - 1
        return Self.residualBlocks(2, from: width, to: width, level)
            + Double(4 * width * width) / Self.pixels(level)
    }

    /// The convolutions between pixels and the finest level, and latents and the coarsest.
    private func ends(_ finest: Int) -> Double {
        Self.convolution(3, finest, 0)
            + Self.convolution(latentChannels, autoencoderChannels.last ?? 0, coarsestLevel)
    }

    private var coarsestLevel: Int { max(0, autoencoderChannels.count - 1) }

    /// Two convolutions a block, and a matrix where the width changes.
    private static func residualBlocks(
        _ count: Int,
        from input: Int,
        to output: Int,
        _ level: Int
    ) -> Double {
        guard count > 0 else { return 0 }
        let first = convolution(input, output, level) + convolution(output, output, level)
        let shortcut = input == output ? 0 : Double(input * output) / pixels(level)
        return first + shortcut + Double(count - 1) * 2 * convolution(output, output, level)
    }

    /// Multiplications of a 3×3 convolution at a level, for each pixel of the picture.
    private static func convolution(_ input: Int, _ output: Int, _ level: Int) -> Double {
        Double(9 * input * output) / pixels(level)
    }

    /// The pixels of the picture for each of a level, whose sides are halved from level to level.
    private static func pixels(_ level: Int) -> Double {
        level >= 0 && level < 16 ? Double(1 << (2 * level)) : 1
    }
}
