package import Tensors

/// The distribution of a picture's latent; each tensor is (latent channels, pixels).
package struct LatentDistribution: Sendable {
    package let mean: Tensor
    /// The logarithm of the variance, in -30…20.
    package let logVariance: Tensor

    package init(mean: Tensor, logVariance: Tensor) {
        self.mean = mean
        self.logVariance = logVariance
    }
}

/// From which size on an autoencoder trades time for memory.
///
/// Above a limit, what would be a whole picture exists a few rows at a time and is computed once
/// for its statistics and again where it is read. Statistics are those of the whole picture and
/// every tile is computed alike, so the result is the same to the last bit.
package struct AutoencoderTiling: Sendable, Equatable {
    /// Pixels above which the decoder keeps no upsampled picture (default 512²).
    package var joinUpsamplingAbove: Int
    /// Pixels above which residual blocks keep no hidden picture (default 1024²).
    package var recomputeHiddenAbove: Int

    package init(
        joinUpsamplingAbove: Int = 512 * 512,
        recomputeHiddenAbove: Int = 1024 * 1024
    ) {
        self.joinUpsamplingAbove = joinUpsamplingAbove
        self.recomputeHiddenAbove = recomputeHiddenAbove
    }

    /// Keeps every picture whole: the fastest, for who has the memory.
    package static let never = AutoencoderTiling(
        joinUpsamplingAbove: .max,
        recomputeHiddenAbove: .max
    )
}

/// What makes an autoencoder's configuration unusable.
package enum AutoencoderError: Error, Equatable, CustomStringConvertible {
    case noLevels
    case unevenGroups(channels: Int, groups: Int)
    case notPositive(key: String, value: Int)

    package var description: String {
        switch self {
        case .noLevels:
            "vae/config.json: block_out_channels is empty; give the channels of each level"
        case .unevenGroups(let channels, let groups):
            "vae/config.json: \(channels) channels of block_out_channels do not divide into "
                + "\(groups) groups; correct norm_num_groups"
        case .notPositive(let key, let value):
            "vae/config.json: \(key) is \(value); give a positive number"
        }
    }
}

extension AutoencoderConfiguration {
    /// Pixels of a picture a latent pixel, along one side.
    package var spatialFactor: Int { 1 << (blockOutChannels.count - 1) }

    /// Checks what the layers take for granted.
    ///
    /// - Throws: `AutoencoderError`.
    func validate() throws {
        guard !blockOutChannels.isEmpty else { throw AutoencoderError.noLevels }
        let sizes = [
            ("in_channels", inChannels), ("out_channels", outChannels),
            ("latent_channels", latentChannels), ("layers_per_block", layersPerBlock),
            ("norm_num_groups", normNumGroups),
        ]
        for (key, value) in sizes where value < 1 {
            throw AutoencoderError.notPositive(key: key, value: value)
        }
        for channels in blockOutChannels {
            guard channels > 0 else {
                throw AutoencoderError.notPositive(key: "block_out_channels", value: channels)
            }
            guard channels.isMultiple(of: normNumGroups) else {
                throw AutoencoderError.unevenGroups(channels: channels, groups: normNumGroups)
            }
        }
    }

    /// The group norm of some channels.
    func norm(
        _ name: String,
        channels: Int,
        from reader: LayerReader
    ) throws -> GroupNorm {
        try GroupNorm(
            name,
            channels: channels,
            groups: normNumGroups,
            eps: 1e-6,
            from: reader.source
        )
    }
}
