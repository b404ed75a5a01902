import Networks
import Tensors

/// FLUX's autoencoder, both ways: pictures to latents and latents to pictures.
///
/// A picture is (channels, height · width), row-major.
struct Autoencoder {
    let encoder: AutoencoderEncoder
    let decoder: AutoencoderDecoder

    /// Reads all parameters.
    ///
    /// - Parameters:
    ///   - configuration: The sizes.
    ///   - source: Where the parameters come from, by their diffusers names.
    /// - Throws: `AutoencoderError`, or what the source throws.
    init(
        _ configuration: AutoencoderConfiguration,
        from source: any ParameterSource
    ) throws {
        encoder = try AutoencoderEncoder(configuration, from: LayerReader(source))
        decoder = try AutoencoderDecoder(configuration, from: LayerReader(source))
    }

    /// Encodes a picture; see `AutoencoderEncoder.encode`.
    func encode(
        image: Tensor,
        height: Int,
        width: Int,
        tiling: AutoencoderTiling = .init(),
        in compute: Compute
    ) -> LatentDistribution {
        encoder.encode(image: image, height: height, width: width, tiling: tiling, in: compute)
    }

    /// Decodes a latent; see `AutoencoderDecoder.decode`.
    func decode(
        latent: Tensor,
        height: Int,
        width: Int,
        tiling: AutoencoderTiling = .init(),
        in compute: Compute
    ) -> Tensor {
        decoder.decode(latent: latent, height: height, width: width, tiling: tiling, in: compute)
    }
}
