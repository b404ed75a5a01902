package import Tensors

/// The half of the autoencoder that makes pictures of latents.
package struct AutoencoderDecoder: Sendable {
    private struct Level: Sendable {
        let blocks: [ResidualBlock]
        let upsample: Convolution?
    }

    private let convIn: Convolution
    private let middle: MiddleBlock
    private let levels: [Level]
    private let normOut: GroupNorm
    private let convOut: Convolution

    /// Reads the parameters below `decoder.`; the first and the last convolution are in float32 in
    /// every precision.
    ///
    /// - Throws: `AutoencoderError`, or what the source throws.
    package init(
        _ configuration: AutoencoderConfiguration,
        from reader: LayerReader
    ) throws {
        try configuration.validate()
        let channels = [Int](configuration.blockOutChannels.reversed())
        convIn = try Convolution(
            "decoder.conv_in",
            inputs: configuration.latentChannels,
            outputs: channels[0],
            from: reader.exact
        )
        middle = try MiddleBlock(
            "decoder.mid_block",
            channels: channels[0],
            configuration,
            from: reader
        )
        levels = try channels.indices.map { index in
            let name = "decoder.up_blocks.\(index)"
            let before = channels[max(0, index - 1)]
            let blocks = try (0...configuration.layersPerBlock).map { block in
                try ResidualBlock(
                    "\(name).resnets.\(block)",
                    inputs: block == 0 ? before : channels[index],
                    outputs: channels[index],
                    configuration,
                    from: reader
                )
            }
            guard index < channels.count - 1 else { return Level(blocks: blocks, upsample: nil) }
            let upsample = try Convolution(
                "\(name).upsamplers.0.conv",
                kind: .doubling,
                inputs: channels[index],
                outputs: channels[index],
                from: reader
            )
            return Level(blocks: blocks, upsample: upsample)
        }
        let last = channels[channels.count - 1]
        normOut = try configuration.norm("decoder.conv_norm_out", channels: last, from: reader)
        convOut = try Convolution(
            "decoder.conv_out",
            inputs: last,
            outputs: configuration.outChannels,
            from: reader.exact
        )
    }

    /// Makes the picture of a latent.
    ///
    /// - Parameters:
    ///   - latent: (latent channels, height · width), unscaled.
    ///   - height: Of the latent.
    ///   - width: Of the latent.
    ///   - tiling: When to save memory.
    ///   - compute: Where to compute.
    /// - Returns: (channels, factor · height · factor · width), near -1…1, in memory of its own.
    package func decode(
        latent: Tensor,
        height: Int,
        width: Int,
        tiling: AutoencoderTiling = .init(),
        in compute: Compute
    ) -> Tensor {
        precondition(
            latent.rows == convIn.inputs && height > 0 && width > 0,
            "a latent of as many channels"
        )
        var x = compute.features(of: Picture(latent, height: height, width: width), convIn)
        middle(&x, tiling, in: compute)
        var pending: Convolution?
        for level in levels {
            for block in level.blocks {
                guard let upsample = pending else {
                    x = block(x, tiling, in: compute)
                    continue
                }
                pending = nil
                if 4 * x.picture.pixels > tiling.joinUpsamplingAbove {
                    x = block(upsampling: x.picture, by: upsample, tiling, in: compute)
                } else {
                    x = compute.features(of: x.picture, upsample)
                    x = block(x, tiling, in: compute)
                }
            }
            pending = level.upsample
        }
        let out = Picture(
            channels: convOut.outputs,
            height: x.picture.height,
            width: x.picture.width
        )
        compute.convolve(out, x.picture, convOut, factors: normOut.factors(x.moments))
        return out.tensor
    }
}
