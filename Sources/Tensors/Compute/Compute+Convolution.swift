import CKernels

/// What is added to a convolution's output.
package enum Addend: Sendable {
    /// A picture of the output's sizes; it may be the output itself.
    case picture(Picture)
    /// A picture times a weight (outputs, the picture's channels): a 1×1 convolution.
    case product(Picture, PackedRows)
}

extension Compute {
    /// out = convolution(silu(factor ⊙ x + summand)) + bias + addend.
    ///
    /// - Parameters:
    ///   - out: The output, of the sizes that `layer` makes of x's.
    ///   - x: (inputs, pixels); of a picture with its last rows only, the band reads what it holds.
    ///   - layer: The convolution.
    ///   - factors: A group norm's factors and summands (2, inputs), followed by SiLU; nil for
    ///     neither.
    ///   - addend: What is added.
    ///   - moments: Gets the moments of the output.
    ///   - band: The band of the layer's tiles to compute, or nil for all.
    package func convolve(
        _ out: Picture,
        _ x: Picture,
        _ layer: Convolution,
        factors: Tensor? = nil,
        adding addend: Addend? = nil,
        moments: Moments? = nil,
        band: Int? = nil
    ) {
        precondition(
            x.channels == layer.inputs && out.channels == layer.outputs
                && out.height == layer.size(of: x.height) && out.width == layer.size(of: x.width)
                && (factors?.columns ?? x.channels) == x.channels,
            "the sizes of a convolution agree"
        )
        let tiles = layer.tiles(height: out.height, width: out.width)
        let bands = band.map { $0..<$0 + 1 } ?? 0..<tiles.bands
        let first = bands.lowerBound * tiles.across
        let level = kernels.level
        withScratch {
            let room = TileRoom(self, layer, tiles, addend)
            parallel(bands.count * tiles.across) { part, worker in
                let index = first + part
                let (rows, columns) = (tiles.rows(index), tiles.columns(index))
                let own = room.worker(worker)
                let values = own.values.rows(0..<layer.outputs)
                    .columns(0..<rows.count * columns.count)
                layer.gatherAndMultiply(own, x, factors, rows, columns, level)
                if case .product(let picture, let weight) = addend {
                    let inputs = own.inputs.columns(0..<rows.count * columns.count)
                    let tile = picture.tile(rows, columns)
                    kernel_copy_tile_f32(
                        inputs.base,
                        picture.tensor.base,
                        tile,
                        picture.channels,
                        inputs.stride,
                        picture.tensor.stride
                    )
                    weight.multiply(
                        values,
                        inputs,
                        room: own.panel.base,
                        accumulate: true,
                        level
                    )
                }
                var summand: Picture?
                if case .picture(let picture) = addend { summand = picture }
                kernel_store_tile_f32(
                    out.tensor.base,
                    moments?.values.row(index),
                    values.base,
                    layer.bias.base,
                    summand?.tensor.base,
                    out.tile(rows, columns),
                    out.channels,
                    out.tensor.stride,
                    values.stride,
                    summand?.tensor.stride ?? 0,
                    summand?.capacity ?? 1
                )
            }
        }
    }

    /// The moments of a whole picture.
    package func moments(_ x: Picture) -> Moments {
        precondition(x.capacity == x.height, "all rows are held")
        let parts = Parts(x.pixels, atMost: 1024)
        let moments = Moments(channels: x.channels, parts: parts)
        parallel(parts.count) { part, _ in
            kernel_moments_f32(
                moments.values.row(part),
                x.tensor.base + parts[part].lowerBound,
                x.channels,
                parts[part].count,
                x.tensor.stride
            )
        }
        return moments
    }

    /// out = (factor ⊙ x + summand)ᵀ; x is (channels, pixels), factors (2, channels), out
    /// (pixels, channels).
    package func scaleTranspose(_ out: Tensor, _ x: Tensor, factors: Tensor) {
        precondition(
            out.rows == x.columns && out.columns == x.rows && factors.columns == x.rows,
            "the sizes of a transposition agree"
        )
        parallelRows(out.rows) { pixels in
            kernel_scale_transpose_f32(
                out.row(pixels.lowerBound),
                x.base + pixels.lowerBound,
                factors.row(0),
                factors.row(1),
                x.rows,
                pixels.count,
                out.stride,
                x.stride
            )
        }
    }

    /// x += yᵀ; x is (channels, pixels), y (pixels, channels).
    package func addTransposed(_ x: Tensor, _ y: Tensor) {
        precondition(x.rows == y.columns && x.columns == y.rows, "the sizes of a sum agree")
        parallelRows(y.rows) { pixels in
            kernel_add_transposed_f32(
                x.base + pixels.lowerBound,
                y.row(pixels.lowerBound),
                x.rows,
                pixels.count,
                x.stride,
                y.stride
            )
        }
    }
}

/// The scratch memory of a convolution's tiles, for all workers or for one.
private struct TileRoom: Sendable {
    /// What the taps read: (3 · inputs, pixels with a border).
    let patch: Tensor
    /// The output's values: (outputs, pixels), both filled to whole panels.
    let values: Tensor
    /// Of a doubling, the four pixels that come of one: (4 · outputs, pixels / 4), filled too.
    let phases: Tensor
    /// What a 1×1 convolution of the addend reads.
    let inputs: Tensor
    /// A product's panel of pixels.
    let panel: Tensor
    let workers: Int

    init(_ compute: Compute, _ layer: Convolution, _ tiles: Tiles, _ addend: Addend?) {
        workers = compute.threads
        let pixels = tiles.largest()
        let gathered =
            switch layer.kind {
            case .same: tiles.largest(border: 2)
            case .halving: 2 * pixels + tiles.largest(border: 1) - pixels
            case .doubling: tiles.largest(border: 4) / 4
            }
        patch = compute.scratch(workers * 3 * layer.inputs, gathered)
        let outputs = Panel.padded(layer.outputs, to: Panel.rows)
        values = compute.scratch(workers * outputs, Panel.padded(pixels, to: Panel.columns))
        phases =
            layer.kind == .doubling
            ? compute.scratch(
                workers * (3 * layer.outputs + outputs),
                Panel.padded(pixels / 4, to: Panel.columns)
            ) : compute.scratch(0, 0)
        if case .product(let picture, let weight) = addend {
            inputs = compute.scratch(workers * picture.channels, pixels)
            panel = compute.scratch(workers, max(layer.room, weight.room))
        } else {
            inputs = compute.scratch(0, 0)
            panel = compute.scratch(workers, layer.room)
        }
    }

    private init(_ all: TileRoom, worker: Int) {
        func part(_ tensor: Tensor) -> Tensor {
            let rows = tensor.rows / all.workers
            return tensor.rows(worker * rows..<(worker + 1) * rows)
        }
        workers = 1
        patch = part(all.patch)
        values = part(all.values)
        phases = part(all.phases)
        inputs = part(all.inputs)
        panel = part(all.panel)
    }

    func worker(_ index: Int) -> TileRoom { TileRoom(self, worker: index) }
}

extension Convolution {
    /// Computes one tile's values, without bias, into `room.values`.
    fileprivate func gatherAndMultiply(
        _ room: TileRoom,
        _ x: Picture,
        _ factors: Tensor?,
        _ rows: Range<Int>,
        _ columns: Range<Int>,
        _ level: kernel_level
    ) {
        let shrink = kind == .doubling ? 2 : 1
        let across = columns.count / shrink
        let down = rows.count / shrink
        let tile = x.tile(
            rows.lowerBound / shrink..<rows.upperBound / shrink,
            columns.lowerBound / shrink..<columns.upperBound / shrink
        )
        let gather = kind == .halving ? kernel_gather_halved_f32 : kernel_gather_f32
        gather(
            room.patch.base,
            x.tensor.base,
            factors?.row(0),
            factors?.row(1),
            tile,
            inputs,
            room.patch.stride,
            x.tensor.stride
        )
        let count = down * across
        switch kind {
        case .same, .halving:
            let values = room.values.rows(0..<outputs).columns(0..<count)
            for dy in 0..<3 {
                let row = kind == .same ? dy : [0, down + 1, 1][dy]
                taps(dy).multiply(
                    values,
                    room.patch.columns(row * across..<row * across + count),
                    room: room.panel.base,
                    accumulate: dy > 0,
                    level
                )
            }
        case .doubling:
            for phase in 0..<4 {
                let values = room.phases.rows(phase * outputs..<(phase + 1) * outputs)
                let channels = phase % 2 * inputs..<(phase % 2 + 2) * inputs
                for dy in 0..<2 {
                    let row = phase / 2 + dy
                    taps(phase: phase, row: dy).multiply(
                        values.columns(0..<count),
                        room.patch.rows(channels).columns(row * across..<row * across + count),
                        room: room.panel.base,
                        accumulate: dy > 0,
                        level
                    )
                }
            }
            kernel_interleave_f32(
                room.values.base,
                room.phases.base,
                outputs,
                down,
                across,
                room.values.stride,
                room.phases.stride
            )
        }
    }
}

extension Picture {
    fileprivate func tile(_ rows: Range<Int>, _ columns: Range<Int>) -> kernel_tile {
        kernel_tile(
            width: width,
            height: height,
            capacity: capacity,
            row: rows.lowerBound,
            column: columns.lowerBound,
            rows: rows.count,
            columns: columns.count
        )
    }
}
