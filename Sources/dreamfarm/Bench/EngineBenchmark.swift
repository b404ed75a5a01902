import Collectives
import Diffusion
import FoundationEssentials
import Networks
import Tensors

/// Times a stack of transformer blocks.
struct EngineBenchmark {
    let configuration: FluxConfiguration
    let precision: Precision
    let compute: Compute

    /// What the blocks work on.
    struct Stream: Sendable {
        /// The tokens, text first: (tokens, hidden).
        let tokens: Tensor
        let textRows: Range<Int>
        /// The modulating vector before its SiLU: (1, hidden).
        let vec: Tensor
        let rope: RotaryTable
    }

    /// What was measured.
    struct Result: BenchResult {
        /// The median of the timed passes.
        let seconds: Double
        let gflops: Double
        /// The seconds that the arithmetic takes at the peak of registers alone, over `seconds`.
        let peakShare: Double
        let passes: [Double]
        let tokens: Int
        let textTokens: Int
        let precision: String
        let kernels: String
        let threads: Int
        /// The peak of the products' arithmetic, in GFLOP or GOP a second.
        let productPeak: Double
        /// The peak of the attention's arithmetic.
        let attentionPeak: Double
        /// What the ranks of this process hold.
        var weights: [RankWeights]
        /// What the link did, in a group.
        var group: GroupResult?
        let output: Output

        enum CodingKeys: String, CodingKey {
            case seconds, gflops, passes, tokens, precision, kernels, threads, weights, group
            case textTokens = "text_tokens"
            case peakShare = "peak_share"
            case productPeak = "product_peak"
            case attentionPeak = "attention_peak"
        }
    }

    /// Packs the weights, warms up, and times `runs` passes over the same tokens.
    ///
    /// - Parameters:
    ///   - source: The weights.
    ///   - stream: The tokens.
    ///   - runs: How many passes are timed, after one that is not.
    ///   - link: Of a group, whose ranks all call this; each pass begins when all are there.
    /// - Returns: What this rank measured.
    /// - Throws: What the source throws, and `LinkError`.
    func run(
        _ source: any ParameterSource,
        _ stream: Stream,
        runs: Int,
        link: GroupLink? = nil
    ) throws -> Result {
        let shard = link.map { Shard(rank: $0.rank, size: $0.size) } ?? .whole
        let speed = try link?.measure()
        compute.reduction = link
        defer { compute.reduction = nil }
        let blocks = try FluxBlockStack(
            configuration,
            from: LayerReader(
                source,
                precision: precision,
                threads: compute.threads,
                shard: shard
            )
        )
        let x = stream.tokens.copy()
        let vec = stream.vec.copy()
        compute.activate(vec, .silu)
        var done = LinkStatistics()
        func pass() throws -> Double {
            x.copy(from: stream.tokens)
            try link?.barrier()
            let before = link?.statistics ?? LinkStatistics()
            let elapsed = ContinuousClock().measure {
                blocks(
                    x,
                    text: stream.textRows,
                    modulation: blocks.modulation(vec, in: compute),
                    step: 0,
                    rope: stream.rope,
                    in: compute
                )
            }
            if let failure = link?.failure { throw failure }
            if let link { done += link.statistics - before }
            return elapsed / .seconds(1)
        }
        _ = try pass()
        done = LinkStatistics()
        let passes = try (0..<runs).map { _ in try pass() }
        let seconds = passes.sorted()[runs / 2]
        let work = work(tokens: x.rows, ranks: shard.size)
        let productPeak = compute.peakOperations(precision)
        let attentionPeak = compute.attentionPeak(precision, products: productPeak)
        let ideal = work.products / productPeak + work.attention / attentionPeak
        return Result(
            seconds: seconds,
            gflops: (work.products + work.attention) / seconds / 1e9,
            peakShare: ideal / seconds,
            passes: passes,
            tokens: x.rows,
            textTokens: stream.textRows.count,
            precision: precision.rawValue,
            kernels: compute.kernels.rawValue,
            threads: compute.threads,
            productPeak: productPeak / 1e9,
            attentionPeak: attentionPeak / 1e9,
            weights: [RankWeights(rank: shard.rank, ranks: shard.size, blocks.parameterBytes)],
            group: link.flatMap { link in
                speed.map { GroupResult(link, $0, passes, done) }
            },
            output: Output(tokens: x)
        )
    }

    /// Operations of a pass, a multiplication and an addition each counted: matrix products, and
    /// attention; of a group a rank's share.
    private func work(tokens: Int, ranks: Int) -> (products: Double, attention: Double) {
        let c = configuration
        let hidden = Double(c.hidden)
        let weights = 4 * hidden * hidden + 2 * hidden * Double(c.mlp)
        let blocks = Double(c.numLayers + c.numSingleLayers)
        let n = Double(tokens)
        let share = blocks / Double(ranks)
        return (2 * n * weights * share, 4 * n * n * hidden * share)
    }
}

extension EngineBenchmark.Stream {
    /// Random tokens at the positions of a square picture.
    init(_ c: FluxConfiguration, tokens count: Int, textTokens: Int) {
        let side = max(1, Int(Double(count - textTokens).squareRoot()))
        let positions = (0..<count - textTokens).map {
            TokenPosition(row: $0 / side, column: $0 % side)
        }
        // of the size that a stream has: a weight's spread would be a thousandth of it
        tokens = Tensor(rows: count, columns: c.hidden)
        vec = Tensor(rows: 1, columns: c.hidden)
        for (name, tensor) in [("tokens", tokens), ("temb", vec)] {
            let values = tensor.elements
            NoiseSource(seed: 1).read(name, shape: [values.count, 1], into: values)
        }
        textRows = 0..<textTokens
        rope = RotaryTable(
            positions: [TokenPosition](repeating: .text, count: textTokens) + positions,
            axes: c.axesDimsRope
        )
    }

    /// Reads tokens from a file.
    ///
    /// - Throws: `SafetensorsError` for a tensor that is missing or has another shape.
    init(path: String, _ c: FluxConfiguration) throws {
        let file = try SafetensorsSet(file: SafetensorsFile(path: path))
        func rows(_ name: String) throws -> Int {
            guard let shape = file.shape(of: name) else {
                throw SafetensorsError.missing(file: path, tensor: name)
            }
            return shape.dropLast().reduce(1, *)
        }
        func matrix(_ name: String, _ columns: Int) throws -> Tensor {
            let shape = [try rows(name), columns]
            let matrix = Tensor(rows: shape[0], columns: columns)
            try file.read(name, shape: file.shape(of: name) ?? shape, into: matrix.elements)
            return matrix
        }
        let text = try matrix("text", c.hidden)
        let image = try matrix("image", c.hidden)
        tokens = Tensor(
            rows: text.rows + image.rows,
            columns: c.hidden,
            values: text.values + image.values
        )
        textRows = 0..<text.rows
        vec = try matrix("temb", c.hidden)
        func table(_ name: String) throws -> Tensor {
            let channels = try matrix(name, c.attentionHeadDim)
            let table = Tensor(rows: channels.rows, columns: channels.columns / 2)
            for row in 0..<table.rows {
                for pair in 0..<table.columns {
                    table.row(row)[pair] = channels.row(row)[2 * pair]
                }
            }
            return table
        }
        rope = RotaryTable(cosine: try table("rope_cos"), sine: try table("rope_sin"))
    }
}

/// The stream after a pass.
struct Output {
    let tokens: Tensor

    /// Writes it as `output` (tokens, hidden) in float32.
    func write(to path: String) throws {
        let writer = try SafetensorsWriter(
            path: path,
            tensors: [.init(name: "output", type: .float32, shape: [tokens.rows, tokens.columns])]
        )
        try writer.write(UnsafeBufferPointer(tokens.elements), as: .float32)
        try writer.finish()
    }
}
