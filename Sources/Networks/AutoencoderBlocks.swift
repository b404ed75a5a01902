import Tensors

/// A picture between two layers, with the moments that the next group norm needs.
struct Features {
    let picture: Picture
    let moments: Moments
}

extension Compute {
    /// The output of a convolution without normalisation, in memory of its own.
    func features(of x: Picture, _ layer: Convolution) -> Features {
        let out = Picture(
            channels: layer.outputs,
            height: layer.size(of: x.height),
            width: layer.size(of: x.width)
        )
        let moments = Moments(of: layer, height: out.height, width: out.width)
        convolve(out, x, layer, moments: moments)
        return Features(picture: out, moments: moments)
    }
}

/// Two times group norm, SiLU and 3×3 convolution, and the input added, through a 1×1 convolution
/// where the count of channels changes.
struct ResidualBlock: Sendable {
    let norm1: GroupNorm
    let conv1: Convolution
    let norm2: GroupNorm
    /// Its bias includes the shortcut's.
    let conv2: Convolution
    /// The weight of the 1×1 convolution: (outputs, inputs).
    let shortcut: PackedRows?

    init(
        _ name: String,
        inputs: Int,
        outputs: Int,
        _ configuration: AutoencoderConfiguration,
        from reader: LayerReader
    ) throws {
        norm1 = try configuration.norm("\(name).norm1", channels: inputs, from: reader)
        conv1 = try Convolution("\(name).conv1", inputs: inputs, outputs: outputs, from: reader)
        norm2 = try configuration.norm("\(name).norm2", channels: outputs, from: reader)
        conv2 = try Convolution("\(name).conv2", inputs: outputs, outputs: outputs, from: reader)
        guard inputs != outputs else {
            shortcut = nil
            return
        }
        let weight = Tensor(rows: outputs, columns: inputs)
        try reader.source.read(
            "\(name).conv_shortcut.weight",
            shape: [outputs, inputs, 1, 1],
            into: weight.elements
        )
        let bias = try reader.source.vector("\(name).conv_shortcut.bias", count: outputs)
        for index in 0..<outputs {
            conv2.bias.base[index] += bias.base[index]
        }
        shortcut = PackedRows(weight, precision: reader.precision.floating)
    }

    /// What is added to the second convolution's output.
    func addend(_ x: Picture) -> Addend {
        shortcut.map { .product(x, $0) } ?? .picture(x)
    }

    /// The block's output; it takes over the memory of `x`.
    func callAsFunction(
        _ x: Features,
        _ tiling: AutoencoderTiling,
        in compute: Compute
    ) -> Features {
        guard x.picture.pixels <= tiling.recomputeHiddenAbove else {
            return recomputingHidden(.picture(x), in: compute)
        }
        let picture = x.picture
        let hidden = Picture(
            channels: conv1.outputs,
            height: picture.height,
            width: picture.width
        )
        let moments = Moments(of: conv1, height: picture.height, width: picture.width)
        let factors = norm1.factors(x.moments)
        compute.convolve(hidden, picture, conv1, factors: factors, moments: moments)
        return second(hidden, moments, adding: picture, in: compute)
    }

    /// The second half, from the whole hidden picture.
    private func second(
        _ hidden: Picture,
        _ moments: Moments,
        adding x: Picture,
        in compute: Compute
    ) -> Features {
        let out =
            shortcut == nil
            ? x : Picture(channels: conv2.outputs, height: x.height, width: x.width)
        let outMoments = Moments(of: conv2, height: x.height, width: x.width)
        compute.convolve(
            out,
            hidden,
            conv2,
            factors: norm2.factors(moments),
            adding: addend(x),
            moments: outMoments
        )
        return Features(picture: out, moments: outMoments)
    }
}

/// Two residual blocks with an attention of one head between them.
struct MiddleBlock: Sendable {
    private let first: ResidualBlock
    private let norm: GroupNorm
    private let query: Linear
    private let key: Linear
    private let value: Linear
    private let output: Linear
    private let last: ResidualBlock

    init(
        _ name: String,
        channels: Int,
        _ configuration: AutoencoderConfiguration,
        from reader: LayerReader
    ) throws {
        let attention = "\(name).attentions.0"
        func linear(_ layer: String) throws -> Linear {
            try reader.floating.linear(
                "\(attention).\(layer)",
                inputs: channels,
                outputs: channels
            )
        }
        func block(_ index: Int) throws -> ResidualBlock {
            try ResidualBlock(
                "\(name).resnets.\(index)",
                inputs: channels,
                outputs: channels,
                configuration,
                from: reader
            )
        }
        first = try block(0)
        norm = try configuration.norm("\(attention).group_norm", channels: channels, from: reader)
        query = try linear("to_q")
        key = try linear("to_k")
        value = try linear("to_v")
        output = try linear("to_out.0")
        last = try block(1)
    }

    func callAsFunction(
        _ x: inout Features,
        _ tiling: AutoencoderTiling,
        in compute: Compute
    ) {
        x = first(x, tiling, in: compute)
        let picture = x.picture
        attend(picture, norm.factors(x.moments), in: compute)
        x = Features(picture: picture, moments: compute.moments(picture))
        x = last(x, tiling, in: compute)
    }

    /// x += attention(norm(x)), pixel to pixel.
    private func attend(_ x: Picture, _ factors: Tensor, in compute: Compute) {
        let channels = x.channels
        let normed = Tensor(rows: x.pixels, columns: channels)
        compute.scaleTranspose(normed, x.tensor, factors: factors)
        let q = Tensor(rows: x.pixels, columns: channels)
        let k = Tensor(rows: x.pixels, columns: channels)
        let v = Tensor(rows: x.pixels, columns: channels)
        compute.linear(q, normed, query)
        compute.linear(k, normed, key)
        compute.linear(v, normed, value)
        compute.attention(
            normed,
            q: q,
            k: k,
            v: v,
            heads: 1,
            scale: 1 / Float(channels).squareRoot(),
            query.precision
        )
        compute.linear(q, normed, output)
        compute.addTransposed(x.tensor, q)
    }
}
