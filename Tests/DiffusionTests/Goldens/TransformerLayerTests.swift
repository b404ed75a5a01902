import GoldenSupport
import Tensors
import Testing

@testable import Diffusion
@testable import Networks

/// The transformer's layers, with all adapters in, against what diffusers makes of them.
@Suite
struct TransformerLayerTests {
    /// A golden model's transformer and its first step.
    private struct Subject {
        let layers: GoldenTensors
        let run: GoldenTensors
        let configuration: FluxConfiguration
        let adapters: AdapterSet
        let source: AdaptedSource
        let request: RenderRequest
        let compute = Compute(threads: 2)

        init(_ golden: Golden) throws {
            let model = try ModelDirectory(path: golden.model)
            layers = try golden.layers()
            run = try golden.run()
            configuration = model.transformer.configuration
            adapters = try AdapterSet(
                folder: model.adaptersFolder,
                selection: golden.selection(),
                configuration: configuration
            )
            source = adapters.adapting(model.transformer.source, threads: 1)
            request = try golden.request()
        }

        var hidden: Int { configuration.hidden }
        var outputTokens: Int { request.width * request.height / 256 }

        func linear(_ name: String, _ inputs: Int, _ outputs: Int) throws -> Linear {
            try LayerReader(source).linear(name, inputs: inputs, outputs: outputs)
        }

        func apply(_ layer: Linear, _ x: Tensor, _ activation: Activation = .identity) -> Tensor {
            let out = Tensor(rows: x.rows, columns: layer.outputs)
            compute.linear(out, x, layer, activation: activation)
            return out
        }

        /// SiLU of the vector that modulates every block.
        func modulator() throws -> Tensor {
            let vec = try run.matrix("temb_step0")
            compute.activate(vec, .silu)
            return vec
        }

        /// The rotary angles of all tokens, one a pair of channels.
        func rope() throws -> RotaryTable {
            func table(_ name: String) throws -> Tensor {
                let pairs = try run.matrix(name)
                let values = stride(from: 0, to: pairs.rows * pairs.columns, by: 2).map {
                    pairs.elements[$0]
                }
                return Tensor(rows: pairs.rows, columns: pairs.columns / 2, values: values)
            }
            return try RotaryTable(cosine: table("rope_cos"), sine: table("rope_sin"))
        }

        /// Text tokens, then picture tokens.
        func stream(_ text: Tensor, _ image: Tensor) -> Tensor {
            Tensor(
                rows: text.rows + image.rows,
                columns: text.columns,
                values: text.values + image.values
            )
        }
    }

    @Test(arguments: Golden.withLayers)
    func embeddedTokens(_ golden: Golden) throws {
        let subject = try Subject(golden)
        let c = subject.configuration
        let transformer = try FluxTransformer(c, from: LayerReader(subject.source))
        let tokens = try subject.layers.matrix("dit.x_embedder.in")
        var references: [FluxTrunk.Reference] = []
        var row = subject.outputTokens
        for (index, condition) in subject.request.conditions.enumerated() {
            let latent = try subject.run.matrix("ref\(index)_latent")
            references.append(
                FluxTrunk.Reference(
                    tokens: tokens.rows(row..<row + latent.rows),
                    embedding: subject.adapters.embeddings?.reference(slot: condition.slot)
                )
            )
            row += latent.rows
        }
        #expect(row == tokens.rows)
        let conditions = transformer.conditions(
            text: try subject.layers.matrix("dit.context_embedder.in"),
            references: references,
            outputEmbedding: subject.adapters.embeddings?.output,
            positions: [],
            in: subject.compute
        )
        let context = transformer.context(
            conditions,
            pooled: try subject.layers.matrix("dit.time_text_embed.text_embedder.in"),
            in: subject.compute
        )
        let trunk = context.trunk
        let output = subject.apply(
            try subject.linear("x_embedder", c.inChannels, c.hidden),
            tokens.rows(0..<subject.outputTokens)
        )
        subject.compute.add(output, try #require(trunk.outputEmbedding))
        let embedded = output.values + (try #require(trunk.references)).values
        #expect(try subject.layers.difference("dit.x_embedder.out", embedded) == nil)
        #expect(
            try subject.layers.difference("dit.context_embedder.out", trunk.text.values) == nil
        )
        #expect(
            try subject.layers.difference(
                "dit.time_text_embed.text_embedder.out",
                context.pooled.values
            ) == nil
        )
        let temb = Tensor(rows: 1, columns: c.hidden)
        try TimeTextEmbedding(c, from: LayerReader(subject.source))(
            temb,
            timestep: 1,
            guidance: subject.request.guidance(step: 0),
            pooled: context.pooled,
            in: subject.compute
        )
        #expect(try subject.run.difference("temb_step0", temb.values) == nil)
    }

    @Test(arguments: Golden.withLayers)
    func sinusoids(_ golden: Golden) throws {
        let subject = try Subject(golden)
        for (name, x) in [
            ("timestep", Float(1000)), ("guidance", 1000 * subject.request.guidance(step: 0)),
        ] {
            let sinusoid = Tensor(rows: 1, columns: 256)
            TimeTextEmbedding.fill(sinusoid, x)
            let layer = "time_text_embed.\(name)_embedder"
            #expect(try subject.layers.difference("dit.\(layer).in", sinusoid.values) == nil)
            let out = subject.apply(
                try subject.linear("\(layer).linear_2", subject.hidden, subject.hidden),
                subject.apply(
                    try subject.linear("\(layer).linear_1", 256, subject.hidden),
                    try subject.layers.matrix("dit.\(layer).in"),
                    .silu
                )
            )
            #expect(try subject.layers.difference("dit.\(layer).out", out.values) == nil)
        }
    }

    @Test("check values of the sinusoid of 1000")
    func sinusoidOfOneThousand() {
        let sinusoid = Tensor(rows: 1, columns: 256)
        TimeTextEmbedding.fill(sinusoid, 1000)
        let expected: [(Int, Float)] = [
            (0, 0.562379), (1, 0.789615), (2, 0.439954), (127, 0.994232), (128, 0.826880),
            (129, 0.613603), (130, -0.898020), (255, 0.107254),
        ]
        for (index, value) in expected {
            #expect(abs(sinusoid.base[index] - value) < 5e-5)
        }
    }

    @Test(arguments: Golden.withLayers)
    func feedForward(_ golden: Golden) throws {
        let subject = try Subject(golden)
        let (hidden, mlp) = (subject.hidden, subject.configuration.mlp)
        for name in ["ff", "ff_context"] {
            let layer = "transformer_blocks.0.\(name)"
            let out = subject.apply(
                try subject.linear("\(layer).net.2", mlp, hidden),
                subject.apply(
                    try subject.linear("\(layer).net.0.proj", hidden, mlp),
                    try subject.layers.matrix("dit.\(layer).in"),
                    .geluTanh
                )
            )
            #expect(try subject.layers.difference("dit.\(layer).out", out.values) == nil)
        }
        for (layer, inputs, outputs) in [
            ("single_transformer_blocks.0.proj_mlp", hidden, mlp),
            ("proj_out", hidden, subject.configuration.inChannels),
        ] {
            let out = subject.apply(
                try subject.linear(layer, inputs, outputs),
                try subject.layers.matrix("dit.\(layer).in")
            )
            #expect(try subject.layers.difference("dit.\(layer).out", out.values) == nil)
        }
    }

    @Test(arguments: Golden.withLayers)
    func modulatedNorms(_ golden: Golden) throws {
        let subject = try Subject(golden)
        let hidden = subject.hidden
        // shift before scale in the blocks, scale before shift at the end
        for (layer, parts, scale, shift) in [
            ("transformer_blocks.0.norm1", 6, 1, 0), ("norm_out", 2, 0, 1),
        ] {
            let linear = try subject.linear("\(layer).linear", hidden, parts * hidden)
            let modulation = subject.apply(linear, try subject.modulator())
            let x = try subject.layers.matrix("dit.\(layer).in")
            let out = Tensor(rows: x.rows, columns: hidden)
            subject.compute.modulatedLayerNorm(
                out,
                x,
                scale: modulation.columns(scale * hidden..<(scale + 1) * hidden),
                shift: modulation.columns(shift * hidden..<(shift + 1) * hidden),
                eps: FluxTransformer.eps
            )
            #expect(try subject.layers.difference("dit.\(layer).out", out.values) == nil)
        }
    }

    @Test("each block by itself", arguments: Golden.withLayers)
    func blocks(_ golden: Golden) throws {
        let subject = try Subject(golden)
        let (rope, vec) = (try subject.rope(), try subject.modulator())
        let (layers, run, c) = (subject.layers, subject.run, subject.configuration)
        func vectors(_ layers: [Linear]) -> [Tensor] { layers.map { subject.apply($0, vec) } }
        var text = try layers.matrix("dit.context_embedder.out")
        var image = try layers.matrix("dit.x_embedder.out")
        for index in 0..<c.numLayers {
            let x = subject.stream(text, image)
            let block = try DoubleStreamBlock(
                "transformer_blocks.\(index)",
                c,
                from: LayerReader(subject.source)
            )
            block(
                x,
                text: 0..<text.rows,
                modulation: vectors(block.modulations),
                rope: rope,
                in: subject.compute
            )
            let (name, texts) = ("after_double\(index)", text.rows)
            #expect(try run.difference("\(name)_txt", x.rows(0..<texts).values) == nil)
            #expect(try run.difference("\(name)_img", x.rows(texts..<x.rows).values) == nil)
            (text, image) = try (run.matrix("\(name)_txt"), run.matrix("\(name)_img"))
        }
        var x = subject.stream(text, image)
        for index in 0..<c.numSingleLayers {
            let block = try SingleStreamBlock(
                "single_transformer_blocks.\(index)",
                c,
                from: LayerReader(subject.source)
            )
            block(
                x,
                modulation: vectors(block.modulations),
                rope: rope,
                in: subject.compute
            )
            #expect(try run.difference("after_single\(index)", x.values) == nil)
            x = try run.matrix("after_single\(index)")
        }
    }
}
