import Diffusion
import FoundationEssentials
import Tensors

/// Times single operations in FLUX's sizes: matrix products with their epilogues, and attention.
struct KernelBenchmark {
    let precision: Precision
    let compute: Compute
    let tokens: Int
    let runs: Int

    /// What one operation reaches.
    struct Rate: Encodable {
        let name: String
        /// The median of the timed runs.
        let seconds: Double
        let gflops: Double
        /// Of what registers alone reach.
        let peakShare: Double

        enum CodingKeys: String, CodingKey {
            case name, seconds, gflops
            case peakShare = "peak_share"
        }
    }

    struct Result: BenchResult {
        let precision: String
        let kernels: String
        let threads: Int
        let tokens: Int
        let shapes: [Rate]
        let attention: Rate
    }

    /// Inputs and outputs of FLUX's products.
    private static let shapes = [(3072, 3072), (3072, 12288), (12288, 3072), (15360, 3072)]
    private static let heads = 24
    private static let width = 128

    func run() -> Result {
        let peak = compute.peakOperations(precision)
        let attentionPeak = compute.attentionPeak(precision, products: peak)
        return Result(
            precision: precision.rawValue,
            kernels: compute.kernels.rawValue,
            threads: compute.threads,
            tokens: tokens,
            shapes: Self.shapes.map { product(inputs: $0.0, outputs: $0.1, peak) },
            attention: attention(attentionPeak)
        )
    }

    private func product(inputs: Int, outputs: Int, _ peak: Double) -> Rate {
        let layer = Linear(
            weight: noise("weight", rows: outputs, columns: inputs),
            bias: noise("bias", rows: 1, columns: outputs),
            precision: precision,
            threads: compute.threads
        )
        let x = noise("x", rows: tokens, columns: inputs)
        let out = Tensor(rows: tokens, columns: outputs)
        return compute.withScratch {
            let operand = compute.operand(x, precision)
            let seconds = median { compute.linear(out, [operand], layer, activation: .geluTanh) }
            let work = 2 * Double(tokens) * Double(inputs) * Double(outputs)
            return rate("\(inputs)→\(outputs)", work, seconds, peak)
        }
    }

    private func attention(_ peak: Double) -> Rate {
        let columns = Self.heads * Self.width
        let (q, k, v) = (
            noise("q", rows: tokens, columns: columns), noise("k", rows: tokens, columns: columns),
            noise("v", rows: tokens, columns: columns)
        )
        let out = Tensor(rows: tokens, columns: columns)
        let seconds = median {
            compute.attention(
                out,
                q: q,
                k: k,
                v: v,
                heads: Self.heads,
                scale: 1 / Float(Self.width).squareRoot(),
                precision
            )
        }
        let work = 4 * Double(tokens) * Double(tokens) * Double(columns)
        return rate("attention", work, seconds, peak)
    }

    private func rate(_ name: String, _ work: Double, _ seconds: Double, _ peak: Double) -> Rate {
        Rate(
            name: name,
            seconds: seconds,
            gflops: work / seconds / 1e9,
            peakShare: work / seconds / peak
        )
    }

    private func median(_ body: () -> Void) -> Double {
        body()
        let clock = ContinuousClock()
        return (0..<runs).map { _ in clock.measure(body) / .seconds(1) }.sorted()[runs / 2]
    }

    private func noise(_ name: String, rows: Int, columns: Int) -> Tensor {
        let tensor = Tensor(rows: rows, columns: columns)
        // one input, so that the values have the spread of a normalised stream
        NoiseSource(seed: 0).read(name, shape: [rows * columns, 1], into: tensor.elements)
        return tensor
    }
}

extension KernelBenchmark.Result {
    var text: String {
        let lines = (shapes + [attention]).map { rate in
            let name = rate.name + String(repeating: " ", count: max(1, 14 - rate.name.count))
            let milliseconds = (rate.seconds * 10_000).rounded() / 10
            return "\(name)\(milliseconds) ms, \(Int(rate.gflops.rounded())) GFLOP/s, "
                + "\(Int((100 * rate.peakShare).rounded())) % of the peak"
        }
        let head = "\(tokens) tokens in \(precision), \(threads) threads, \(kernels)"
        return ([head] + lines).joined(separator: "\n")
    }
}
