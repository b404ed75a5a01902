/// What predicts the work of a picture: constants that follow from a model's sizes.
///
/// Work is in floating point operations, a multiplication and an addition counting as two.
package struct CostConstants: Codable, Hashable, Sendable {
    /// Of one denoise step, for each token.
    package var flopsPerToken: Double
    /// Of one denoise step, for each pair of tokens: attention.
    package var flopsPerTokenPair: Double
    /// Of one forward of the text encoders, for each token of the prompt.
    package var flopsPerTextToken: Double
    /// Of the autoencoder's decoder, for each pixel of the picture.
    package var flopsPerDecodedPixel: Double
    /// Of the autoencoder's encoder, for each pixel of a reference.
    package var flopsPerEncodedPixel: Double
    /// The tokens of a prompt where a job does not say.
    package var textTokens: Int
    /// What a group's sums follow from; nil of a model whose worker did not tell it: no time of a
    /// group is predicted then.
    package var blocks: BlockSizes?

    package init(
        flopsPerToken: Double,
        flopsPerTokenPair: Double,
        flopsPerTextToken: Double = 0,
        flopsPerDecodedPixel: Double = 0,
        flopsPerEncodedPixel: Double = 0,
        textTokens: Int = 512,
        blocks: BlockSizes? = nil
    ) {
        self.flopsPerToken = flopsPerToken
        self.flopsPerTokenPair = flopsPerTokenPair
        self.flopsPerTextToken = flopsPerTextToken
        self.flopsPerDecodedPixel = flopsPerDecodedPixel
        self.flopsPerEncodedPixel = flopsPerEncodedPixel
        self.textTokens = textTokens
        self.blocks = blocks
    }

    /// FLUX.1's.
    package static let flux = CostConstants(ModelSizes.flux)

    /// For models that were recorded without constants: FLUX.1's work, but no blocks, since how these
    /// are split nobody knows.
    package static let assumed = {
        var constants = flux
        constants.blocks = nil
        return constants
    }()

    /// What cannot be a model's, in words; nil where nothing is.
    package var problem: String? {
        let works = [
            ("flops_per_token", flopsPerToken), ("flops_per_token_pair", flopsPerTokenPair),
            ("flops_per_text_token", flopsPerTextToken),
            ("flops_per_decoded_pixel", flopsPerDecodedPixel),
            ("flops_per_encoded_pixel", flopsPerEncodedPixel),
        ]
        for (name, work) in works where !(0...1e18).contains(work) {
            return "'\(name)' is \(work) and has to be 0 to 1e18"
        }
        guard (0...1_048_576).contains(textTokens) else {
            return "'text_tokens' is \(textTokens) and has to be 0 to 1048576"
        }
        return blocks?.problem
    }

    /// The constants of a model of these sizes.
    package init(_ sizes: ModelSizes) {
        self.init(
            flopsPerToken: sizes.blocks.flopsPerToken,
            flopsPerTokenPair: sizes.blocks.flopsPerTokenPair,
            flopsPerTextToken: sizes.textFlopsPerToken,
            flopsPerDecodedPixel: sizes.decoderFlopsPerPixel,
            flopsPerEncodedPixel: sizes.encoderFlopsPerPixel,
            textTokens: sizes.textTokens,
            blocks: sizes.blocks
        )
    }
}

/// The sizes of a model's networks, as its configuration files give them.
package struct ModelSizes: Hashable, Sendable {
    package var blocks: BlockSizes
    package var t5: T5Sizes
    /// Channels of the autoencoder's levels, finest first.
    package var autoencoderChannels: [Int]
    /// Residual blocks a level in the autoencoder's encoder; its decoder has one more.
    package var autoencoderLayers: Int
    package var latentChannels: Int
    /// The tokens of a prompt where a job does not say.
    package var textTokens: Int

    /// The sizes of the T5 encoder.
    package struct T5Sizes: Hashable, Sendable {
        package var layers: Int
        /// Width of the residual stream.
        package var model: Int
        /// Width of all heads together.
        package var inner: Int
        package var feedForward: Int

        package init(layers: Int, model: Int, inner: Int, feedForward: Int) {
            self.layers = layers
            self.model = model
            self.inner = inner
            self.feedForward = feedForward
        }
    }

    package init(
        blocks: BlockSizes,
        t5: T5Sizes,
        autoencoderChannels: [Int],
        autoencoderLayers: Int = 2,
        latentChannels: Int = 16,
        textTokens: Int = 512
    ) {
        self.blocks = blocks
        self.t5 = t5
        self.autoencoderChannels = autoencoderChannels
        self.autoencoderLayers = autoencoderLayers
        self.latentChannels = latentChannels
        self.textTokens = textTokens
    }

    /// FLUX.1's.
    package static let flux = ModelSizes(
        blocks: BlockSizes(doubleBlocks: 19, singleBlocks: 38, hidden: 3072, mlp: 12288),
        t5: T5Sizes(layers: 24, model: 4096, inner: 4096, feedForward: 10240),
        autoencoderChannels: [128, 256, 512, 512]
    )
}
