import Imaging
import Networks
import Tensors

/// Colours of latents without a decoder: a linear map from a latent pixel's channels to RGB.
struct LatentProjection: Sendable {
    /// For each of a token's four latent pixels its red, green and blue: (12, 4 · channels).
    private let weight: Tensor
    /// What is added to red, green and blue, in −1…1.
    private let bias: [Float]

    /// - Parameters:
    ///   - factors: Red, green and blue of each channel of a scaled latent.
    ///   - bias: Red, green and blue of a latent of zeros.
    init(factors: [[Float]], bias: [Float]) {
        let weight = Tensor(rows: 12, columns: 4 * factors.count)
        for (channel, colours) in factors.enumerated() {
            for place in 0..<4 {
                for (colour, factor) in colours.enumerated() {
                    weight.row(3 * place + colour)[4 * channel + place] = factor
                }
            }
        }
        self.weight = weight
        self.bias = bias
    }

    /// The picture that some tokens stand for, a pixel a latent pixel.
    ///
    /// - Parameters:
    ///   - tokens: Packed scaled latents: (tokens, 4 · channels).
    ///   - grid: How the tokens lie.
    /// - Returns: The picture, of two pixels a token along each side.
    func picture(_ tokens: Tensor, grid: TokenGrid) -> PixelImage {
        let colours = Tensor(rows: tokens.rows, columns: 12)
        multiply(colours, tokens, weight, transposed: true)
        let width = 2 * grid.columns
        var pixels = [UInt8](repeating: 0, count: 12 * grid.count)
        pixels.withUnsafeMutableBufferPointer { pixels in
            for token in 0..<grid.count {
                let row = colours.row(token)
                let (top, left) = (2 * (token / grid.columns), 2 * (token % grid.columns))
                for place in 0..<4 {
                    let start = 3 * ((top + place / 2) * width + left + place % 2)
                    for colour in 0..<3 {
                        let level = (row[3 * place + colour] + bias[colour] + 1) * 127.5
                        // what is no number becomes black
                        pixels[start + colour] = level > 0 ? UInt8(min(level.rounded(), 255)) : 0
                    }
                }
            }
        }
        return PixelImage(width: width, height: 2 * grid.rows, pixels: pixels)
    }

    // MARK: - Fitting

    /// Side of the latents of a fit, in latent pixels that differ; each is repeated once a side.
    private static let side = 8
    private static let pictures = 4

    /// Fits a map to what a decoder makes of a few small random latents, by least squares.
    ///
    /// - Parameters:
    ///   - configuration: The autoencoder's.
    ///   - decode: Makes the picture (3, pixels) of an unscaled latent (channels, 16 · 16).
    init(
        _ configuration: AutoencoderConfiguration,
        decode: (_ latent: Tensor, _ side: Int) -> Tensor
    ) {
        let channels = configuration.latentChannels
        let side = 2 * Self.side
        let factor = configuration.spatialFactor
        var sums = NormalEquations(unknowns: channels + 1, targets: 3)
        var generator = TorchGenerator(seed: 0)
        for _ in 0..<Self.pictures {
            let drawn = Tensor(rows: channels, columns: Self.side * Self.side)
            generator.fillNormal(drawn.elements)
            let latent = Tensor(rows: channels, columns: side * side)
            func source(_ pixel: Int) -> Int {
                pixel / side / 2 * Self.side + pixel % side / 2
            }
            for channel in 0..<channels {
                for pixel in 0..<side * side {
                    latent.row(channel)[pixel] =
                        drawn.row(channel)[source(pixel)] / configuration.scalingFactor
                        + configuration.shiftFactor
                }
            }
            let planes = decode(latent, side)
            for pixel in 0..<side * side {
                let values = (0..<channels).map { Double(drawn.row($0)[source(pixel)]) }
                let colours = (0..<3).map { colour in
                    Self.mean(planes.row(colour), pixel, side: side, factor: factor)
                }
                sums.add(values + [1], colours)
            }
        }
        let solution = sums.solve()
        self.init(
            factors: solution.dropLast().map { $0.map(Float.init) },
            bias: (solution.last ?? []).map(Float.init)
        )
    }

    /// The mean of the pixels that one latent pixel becomes.
    private static func mean(
        _ plane: UnsafeMutablePointer<Float>,
        _ pixel: Int,
        side: Int,
        factor: Int
    ) -> Double {
        let (top, left) = (pixel / side * factor, pixel % side * factor)
        var sum = 0.0
        for y in top..<top + factor {
            for x in left..<left + factor {
                sum += Double(plane[y * side * factor + x])
            }
        }
        return sum / Double(factor * factor)
    }
}

/// The sums of a linear least-squares problem.
private struct NormalEquations {
    private var matrix: [[Double]]
    private let unknowns: Int

    init(unknowns: Int, targets: Int) {
        self.unknowns = unknowns
        matrix = [[Double]](
            repeating: [Double](repeating: 0, count: unknowns + targets),
            count: unknowns
        )
    }

    /// Adds one observation.
    mutating func add(_ values: [Double], _ targets: [Double]) {
        let row = values + targets
        for (index, value) in values.enumerated() {
            for column in row.indices {
                matrix[index][column] += value * row[column]
            }
        }
    }

    /// The coefficients of each unknown for each target, by elimination without pivoting, which
    /// the positive diagonal that is added allows.
    func solve() -> [[Double]] {
        var rows = matrix
        for index in 0..<unknowns {
            rows[index][index] += 1e-3
        }
        for pivot in 0..<unknowns {
            let scale = rows[pivot][pivot]
            rows[pivot] = rows[pivot].map { $0 / scale }
            for other in 0..<unknowns where other != pivot {
                let factor = rows[other][pivot]
                rows[other] = zip(rows[other], rows[pivot]).map { $0 - factor * $1 }
            }
        }
        return rows.map { Array($0.dropFirst(unknowns)) }
    }
}
