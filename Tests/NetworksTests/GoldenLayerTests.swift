import GoldenSupport
import Networks
import Tensors
import Testing

/// The autoencoder and the rotary angles against what diffusers makes of the golden models.
@Suite
struct GoldenLayerTests {
    private func autoencoder(_ golden: Golden) throws -> Autoencoder {
        try Autoencoder(
            golden.configuration(AutoencoderConfiguration.self, of: "vae"),
            from: SafetensorsSet(folder: "\(golden.model)/vae")
        )
    }

    @Test(arguments: Golden.withLayers)
    func decoder(_ golden: Golden) throws {
        let layers = try golden.layers()
        let latent = try layers.planes("vae.decoder.conv_in.in")
        let image = try autoencoder(golden).decoder.decode(
            latent: latent.planes,
            height: latent.height,
            width: latent.width,
            in: Compute(threads: 2)
        )
        #expect(try layers.difference("vae.decoder.conv_out.out", image.values) == nil)
    }

    @Test(arguments: Golden.withLayers)
    func encoder(_ golden: Golden) throws {
        let layers = try golden.layers()
        let image = try layers.planes("vae.encoder.conv_in.in")
        let latent = try autoencoder(golden).encoder.encode(
            image: image.planes,
            height: image.height,
            width: image.width,
            in: Compute(threads: 2)
        )
        let moments = latent.mean.values + latent.logVariance.values
        #expect(try layers.difference("vae.encoder.conv_out.out", moments) == nil)
    }

    @Test(arguments: Golden.all)
    func rotaryAngles(_ golden: Golden) throws {
        let run = try golden.run()
        let ids = try run.matrix("img_ids")
        let texts = try run.values("t5_ids").count
        let positions = (0..<ids.rows).map { row -> TokenPosition in
            TokenPosition(row: Int(ids.row(row)[1]), column: Int(ids.row(row)[2]))
        }
        let configuration = try golden.configuration(FluxConfiguration.self, of: "transformer")
        let table = RotaryTable(
            positions: [TokenPosition](repeating: .text, count: texts) + positions,
            axes: configuration.axesDimsRope
        )
        // the reference writes each angle for both channels of its pair
        let cosines = table.cosine.values.flatMap { [$0, $0] }
        let sines = table.sine.values.flatMap { [$0, $0] }
        #expect(try run.difference("rope_cos", cosines) == nil)
        #expect(try run.difference("rope_sin", sines) == nil)
    }

    @Test("angles of far positions are those of double arithmetic")
    func farPositions() {
        let table = RotaryTable(
            positions: [TokenPosition(row: 4095, column: 2)],
            axes: [16, 56, 56]
        )
        #expect(table.cosine.columns == 64)
        #expect(table.cosine.values[..<8].allSatisfy { $0 == 1 })
        #expect(table.sine.values[..<8].allSatisfy { $0 == 0 })
        // cos 4095, sin 4095, cos 2, sin 2
        #expect(abs(table.cosine.values[8] - -0.065_976_0) < 1e-6)
        #expect(abs(table.sine.values[8] - -0.997_821_2) < 1e-6)
        #expect(abs(table.cosine.values[36] - -0.416_146_84) < 1e-6)
        #expect(abs(table.sine.values[36] - 0.909_297_43) < 1e-6)
    }
}
