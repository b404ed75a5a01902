import Tensors

/// A picture computed from its top to its bottom, of which only the last rows are held.
private final class RowStream {
    let picture: Picture
    private let tiles: Tiles
    private let produce: (_ band: Int) -> Void
    private var band = 0
    private var rows = 0

    /// Makes a stream that has not begun.
    ///
    /// - Parameters:
    ///   - picture: Where the rows go.
    ///   - tiles: The bands they are produced in.
    ///   - produce: Computes the rows of a band; bands come in order.
    init(_ picture: Picture, _ tiles: Tiles, _ produce: @escaping (_ band: Int) -> Void) {
        self.picture = picture
        self.tiles = tiles
        self.produce = produce
    }

    /// A stream of a whole picture.
    init(whole picture: Picture, _ tiles: Tiles) {
        self.picture = picture
        self.tiles = tiles
        produce = { _ in }
    }

    /// Sees to it that the rows below `row`, or all rows, were produced.
    func advance(to row: Int) {
        while rows < min(row, picture.height) {
            produce(band)
            rows = tiles.rows(band: band).upperBound
            band += 1
        }
    }
}

/// What a residual block is applied to when it keeps no whole pictures.
enum StreamedInput {
    case picture(Features)
    /// A picture to be doubled by a convolution.
    case upsampled(Picture, Convolution)
}

extension ResidualBlock {
    /// The block's output for `x` doubled by `upsample`; the doubled picture is never held whole.
    func callAsFunction(
        upsampling x: Picture,
        by upsample: Convolution,
        _ tiling: AutoencoderTiling,
        in compute: Compute
    ) -> Features {
        let input = StreamedInput.upsampled(x, upsample)
        guard 4 * x.pixels <= tiling.recomputeHiddenAbove else {
            return recomputingHidden(input, in: compute)
        }
        let streams = BlockStreams(self, input, compute)
        let factors = norm1.factors(streams.inputMoments())
        let hidden = Picture(
            channels: conv1.outputs,
            height: streams.height,
            width: streams.width
        )
        let moments = streams.moments()
        streams.hidden(into: hidden, factors, moments).advance(to: streams.height)
        return streams.output(
            hidden,
            from: streams.copy(of: hidden),
            norm2.factors(moments),
            adding: streams.input()
        )
    }

    /// The block's output, with the hidden picture computed twice and never held whole.
    func recomputingHidden(_ input: StreamedInput, in compute: Compute) -> Features {
        let streams = BlockStreams(self, input, compute)
        let factors = norm1.factors(streams.inputMoments())
        let moments = streams.moments()
        streams.hidden(into: streams.window(conv1.outputs), factors, moments)
            .advance(to: streams.height)
        let out: Picture
        let x: RowStream
        if case .picture(let features) = input, shortcut == nil {
            // The output takes the input's place, whose rows are read once more further down.
            out = features.picture
            x = streams.copy(of: out)
        } else {
            out = Picture(
                channels: conv2.outputs,
                height: streams.height,
                width: streams.width
            )
            x = streams.input()
        }
        let window = streams.window(conv1.outputs)
        let hidden = streams.hidden(into: window, factors, nil, from: x)
        return streams.output(out, from: hidden, norm2.factors(moments), adding: x)
    }
}

/// The streams a residual block is computed by, and what they have in common.
private struct BlockStreams {
    let block: ResidualBlock
    let source: StreamedInput
    let compute: Compute
    let height: Int
    let width: Int
    private let tiles: Tiles
    /// Rows held of a streamed picture: what the last convolution reads, and what streams run
    /// ahead by when each works in bands of its own height.
    private let capacity: Int

    init(_ block: ResidualBlock, _ source: StreamedInput, _ compute: Compute) {
        self.block = block
        self.source = source
        self.compute = compute
        var ahead = 0
        switch source {
        case .picture(let features):
            height = features.picture.height
            width = features.picture.width
        case .upsampled(let picture, let layer):
            height = layer.size(of: picture.height)
            width = layer.size(of: picture.width)
            ahead = layer.tiles(height: height, width: width).tallest
        }
        tiles = block.conv1.tiles(height: height, width: width)
        capacity = 3 * tiles.tallest + ahead + 6
    }

    /// Room for the moments of the hidden picture, or of the output.
    func moments() -> Moments { Moments(of: block.conv1, height: height, width: width) }

    /// Room for the last rows of a picture.
    func window(_ channels: Int) -> Picture {
        Picture(channels: channels, height: height, width: width, capacity: capacity)
    }

    /// The block's input, from its top.
    func input(_ moments: Moments? = nil) -> RowStream {
        switch source {
        case .picture(let features):
            return RowStream(whole: features.picture, tiles)
        case .upsampled(let picture, let layer):
            let window = window(layer.outputs)
            return RowStream(window, layer.tiles(height: height, width: width)) { band in
                compute.convolve(window, picture, layer, moments: moments, band: band)
            }
        }
    }

    /// The moments of the block's input.
    func inputMoments() -> Moments {
        switch source {
        case .picture(let features):
            return features.moments
        case .upsampled(_, let layer):
            let moments = Moments(of: layer, height: height, width: width)
            input(moments).advance(to: height)
            return moments
        }
    }

    /// The first convolution's output.
    func hidden(
        into picture: Picture,
        _ factors: Tensor,
        _ moments: Moments?,
        from given: RowStream? = nil
    ) -> RowStream {
        let x = given ?? input()
        return RowStream(picture, tiles) { band in
            x.advance(to: tiles.rows(band: band).upperBound + 1)
            compute.convolve(
                picture,
                x.picture,
                block.conv1,
                factors: factors,
                moments: moments,
                band: band
            )
        }
    }

    /// The last rows of a picture as they were before others take their place.
    func copy(of picture: Picture) -> RowStream {
        let window = window(picture.channels)
        return RowStream(window, tiles) { band in
            for row in tiles.rows(band: band) {
                let from = picture.tensor.columns(row * width..<(row + 1) * width)
                let slot = row % window.capacity
                window.tensor.columns(slot * width..<(slot + 1) * width).copy(from: from)
            }
        }
    }

    /// The second convolution's output.
    func output(
        _ out: Picture,
        from hidden: RowStream,
        _ factors: Tensor,
        adding x: RowStream
    ) -> Features {
        let moments = moments()
        for band in 0..<tiles.bands {
            let rows = tiles.rows(band: band)
            hidden.advance(to: rows.upperBound + 1)
            x.advance(to: rows.upperBound)
            compute.convolve(
                out,
                hidden.picture,
                block.conv2,
                factors: factors,
                adding: block.addend(x.picture),
                moments: moments,
                band: band
            )
        }
        return Features(picture: out, moments: moments)
    }
}
