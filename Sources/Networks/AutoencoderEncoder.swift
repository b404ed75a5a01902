package import Tensors

/// The half of the autoencoder that makes latents of pictures.
package struct AutoencoderEncoder: Sendable {
    private struct Level: Sendable {
        let blocks: [ResidualBlock]
        let downsample: Convolution?
    }

    private let convIn: Convolution
    private let levels: [Level]
    private let middle: MiddleBlock
    private let normOut: GroupNorm
    private let convOut: Convolution

    /// Reads the parameters below `encoder.`; the first and the last convolution are in float32 in
    /// every precision.
    ///
    /// - Throws: `AutoencoderError`, or what the source throws.
    package init(
        _ configuration: AutoencoderConfiguration,
        from reader: LayerReader
    ) throws {
        try configuration.validate()
        let channels = configuration.blockOutChannels
        convIn = try Convolution(
            "encoder.conv_in",
            inputs: configuration.inChannels,
            outputs: channels[0],
            from: reader.exact
        )
        levels = try channels.indices.map { index in
            let name = "encoder.down_blocks.\(index)"
            let before = channels[max(0, index - 1)]
            let blocks = try (0..<configuration.layersPerBlock).map { block in
                try ResidualBlock(
                    "\(name).resnets.\(block)",
                    inputs: block == 0 ? before : channels[index],
                    outputs: channels[index],
                    configuration,
                    from: reader
                )
            }
            guard index < channels.count - 1 else { return Level(blocks: blocks, downsample: nil) }
            let downsample = try Convolution(
                "\(name).downsamplers.0.conv",
                kind: .halving,
                inputs: channels[index],
                outputs: channels[index],
                from: reader
            )
            return Level(blocks: blocks, downsample: downsample)
        }
        let last = channels[channels.count - 1]
        middle = try MiddleBlock(
            "encoder.mid_block",
            channels: last,
            configuration,
            from: reader
        )
        normOut = try configuration.norm("encoder.conv_norm_out", channels: last, from: reader)
        convOut = try Convolution(
            "encoder.conv_out",
            inputs: last,
            outputs: 2 * configuration.latentChannels,
            from: reader.exact
        )
    }

    /// Makes the distribution of a picture's latent, unscaled.
    ///
    /// - Parameters:
    ///   - image: (channels, height · width), contiguous rows, in -1…1.
    ///   - height: At least the spatial factor; what is beyond a multiple of it is dropped.
    ///   - width: As the height.
    ///   - tiling: When to save memory.
    ///   - compute: Where to compute.
    /// - Returns: Mean and logarithm of the variance, in memory of their own.
    package func encode(
        image: Tensor,
        height: Int,
        width: Int,
        tiling: AutoencoderTiling = .init(),
        in compute: Compute
    ) -> LatentDistribution {
        precondition(
            image.rows == convIn.inputs && min(height, width) >> (levels.count - 1) > 0,
            "a picture of as many channels, at least one latent pixel large"
        )
        var x = compute.features(of: Picture(image, height: height, width: width), convIn)
        for level in levels {
            for block in level.blocks {
                x = block(x, tiling, in: compute)
            }
            if let downsample = level.downsample {
                x = compute.features(of: x.picture, downsample)
            }
        }
        middle(&x, tiling, in: compute)
        let out = Picture(
            channels: convOut.outputs,
            height: x.picture.height,
            width: x.picture.width
        )
        compute.convolve(out, x.picture, convOut, factors: normOut.factors(x.moments))
        let half = convOut.outputs / 2
        let mean = Tensor(rows: half, columns: out.pixels)
        mean.copy(from: out.tensor.rows(0..<half))
        let logVariance = Tensor(rows: half, columns: out.pixels)
        logVariance.copy(from: out.tensor.rows(half..<2 * half))
        for index in logVariance.elements.indices {
            logVariance.base[index] = min(max(logVariance.base[index], -30), 20)
        }
        return LatentDistribution(mean: mean, logVariance: logVariance)
    }
}
