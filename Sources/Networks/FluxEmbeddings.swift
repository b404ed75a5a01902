// After diffusers' models/embeddings.py: Timesteps, TimestepEmbedding,
// CombinedTimestepGuidanceTextProjEmbeddings, FluxPosEmbed.

import Glibc
package import Tensors

/// Two linear layers with a SiLU between them.
private struct MLPEmbedder: Sendable {
    let linear1: Linear
    let linear2: Linear

    init(_ name: String, inputs: Int, hidden: Int, from reader: LayerReader) throws {
        linear1 = try reader.linear("\(name).linear_1", inputs: inputs, outputs: hidden)
        linear2 = try reader.linear("\(name).linear_2", inputs: hidden, outputs: hidden)
    }

    var parameterBytes: ParameterBytes { linear1.parameterBytes + linear2.parameterBytes }

    /// out = linear2(SiLU(linear1(x))); x is (1, inputs), out (1, hidden).
    func callAsFunction(_ out: Tensor, _ x: Tensor, in compute: Compute) {
        compute.withScratch {
            let h = compute.scratch(1, linear1.outputs)
            compute.linear(h, x, linear1, activation: .silu)
            compute.linear(out, h, linear2)
        }
    }
}

/// The vector that modulates every block: time, guidance and the pooled text.
struct TimeTextEmbedding: Sendable {
    private let timestepEmbedder: MLPEmbedder
    private let guidanceEmbedder: MLPEmbedder?
    private let textEmbedder: MLPEmbedder

    private static let channels = 256

    init(_ c: FluxConfiguration, from reader: LayerReader) throws {
        func embedder(_ name: String, _ inputs: Int) throws -> MLPEmbedder {
            try MLPEmbedder(
                "time_text_embed.\(name)",
                inputs: inputs,
                hidden: c.hidden,
                from: reader
            )
        }
        timestepEmbedder = try embedder("timestep_embedder", TimeTextEmbedding.channels)
        guidanceEmbedder =
            c.guidanceEmbeds ? try embedder("guidance_embedder", TimeTextEmbedding.channels) : nil
        textEmbedder = try embedder("text_embedder", c.pooledProjectionDim)
    }

    var parameterBytes: ParameterBytes {
        [timestepEmbedder, guidanceEmbedder, textEmbedder].compactMap(\.?.parameterBytes).sum
    }

    /// The pooled text's part (1, hidden), the same in every step.
    func embed(pooled: Tensor, in compute: Compute) -> Tensor {
        let out = Tensor(rows: 1, columns: textEmbedder.linear2.outputs)
        textEmbedder(out, pooled, in: compute)
        return out
    }

    /// temb = time + guidance + the embedded pooled text; each is (1, hidden).
    func callAsFunction(
        _ temb: Tensor,
        timestep: Float,
        guidance: Float,
        pooled: Tensor,
        in compute: Compute
    ) {
        compute.withScratch {
            let sinusoid = compute.scratch(1, TimeTextEmbedding.channels)
            TimeTextEmbedding.fill(sinusoid, timestep * 1000)
            timestepEmbedder(temb, sinusoid, in: compute)
            if let guidanceEmbedder {
                let embedded = compute.scratch(1, temb.columns)
                TimeTextEmbedding.fill(sinusoid, guidance * 1000)
                guidanceEmbedder(embedded, sinusoid, in: compute)
                compute.add(temb, embedded)
            }
            compute.add(temb, pooled)
        }
    }

    /// Frequencies 10000^(−k/128), in float32 throughout as published.
    ///
    /// PyTorch's exponential rounds two of them up where the nearest float is below. Times a
    /// guidance in the thousands, that one unit in the last place is the largest error of the
    /// whole vector, so it is kept.
    private static let frequencies: [Float] = {
        let half = channels / 2
        let roundedUp = [12, 106]
        return (0..<half).map { k in
            let exponent = -Float(log(10000.0)) * Float(k) / Float(half)
            let frequency = Float(exp(Double(exponent)))
            return roundedUp.contains(k) ? frequency.nextUp : frequency
        }
    }()

    /// Cosines of x at 128 frequencies, then their sines.
    static func fill(_ out: Tensor, _ x: Float) {
        for (k, frequency) in frequencies.enumerated() {
            let angle = Double(x * frequency)
            out.base[k] = Float(cos(angle))
            out.base[frequencies.count + k] = Float(sin(angle))
        }
    }
}

/// Where a token stands on the plane that output and references share, in tokens.
package struct TokenPosition: Sendable, Equatable {
    package var row: Int
    package var column: Int

    package init(row: Int, column: Int) {
        self.row = row
        self.column = column
    }

    /// Where all text tokens stand.
    package static let text = TokenPosition(row: 0, column: 0)
}

extension RotaryTable {
    /// The angles of tokens: position · 10000^(−2i/d) on each axis, in double until the end.
    ///
    /// - Parameters:
    ///   - positions: A position a token.
    ///   - axes: Widths of the three axes in channels; the first axis is always at 0.
    package init(positions: [TokenPosition], axes: [Int]) {
        let pairs = axes.reduce(0, +) / 2
        let cosine = Tensor(rows: positions.count, columns: pairs)
        let sine = Tensor(rows: positions.count, columns: pairs)
        var column = 0
        for (axis, width) in axes.enumerated() {
            for i in 0..<width / 2 {
                let omega = 1 / pow(10000, Double(2 * i) / Double(width))
                for (row, position) in positions.enumerated() {
                    let coordinate = axis == 0 ? 0 : axis == 1 ? position.row : position.column
                    let angle = Double(coordinate) * omega
                    cosine.row(row)[column] = Float(cos(angle))
                    sine.row(row)[column] = Float(sin(angle))
                }
                column += 1
            }
        }
        self.init(cosine: cosine, sine: sine)
    }
}
