import CImaging

/// Scales pictures as OpenCV's `INTER_AREA` does for 8-bit levels.
///
/// Where both sides shrink or stay, an output pixel is the mean of the area that it covers; where
/// either grows, neighbours are blended with weights made from areas.
package enum AreaResampler {
    /// Scales to a size.
    package static func resize(_ image: PixelImage, width: Int, height: Int) -> PixelImage {
        precondition(width > 0 && height > 0, "A picture has at least one pixel.")
        if image.width == width && image.height == height { return image }
        let x = Axis(source: image.width, target: width)
        let y = Axis(source: image.height, target: height)
        var out = [UInt8](repeating: 0, count: 3 * width * height)
        if x.scale < 1 || y.scale < 1 {
            var scratch = [Int32](repeating: 0, count: 2 * 3 * width)
            let (xPairs, yPairs) = (x.pairs(), y.pairs())
            imaging_blend_pairs(
                &out,
                &scratch,
                image.pixels,
                xPairs,
                yPairs,
                image.width,
                width,
                height
            )
        } else if let cellWidth = x.cell, let cellHeight = y.cell {
            imaging_shrink_cells(&out, image.pixels, width, height, cellWidth, cellHeight)
        } else {
            var scratch = [Float](repeating: 0, count: 2 * 3 * width)
            let (xTaps, xStarts) = x.taps()
            let (yTaps, yStarts) = y.taps()
            imaging_shrink_area(
                &out,
                &scratch,
                image.pixels,
                xTaps,
                xStarts,
                yTaps,
                yStarts,
                image.width,
                width,
                height
            )
        }
        return PixelImage(width: width, height: height, pixels: out)
    }

    /// Scales to DreamO's area rule, up or down; see `areaSize`.
    package static func resizeToArea(_ image: PixelImage, refRes: Int) -> PixelImage {
        let size = areaSize(width: image.width, height: image.height, refRes: refRes)
        return resize(image, width: size.width, height: size.height)
    }

    /// The size with the area of a `refRes` square and about the same shape.
    ///
    /// Each side times k = sqrt(refRes² / (height · width)) is cut to a whole number, then down to
    /// a multiple of 16, at least 16.
    package static func areaSize(
        width: Int,
        height: Int,
        refRes: Int
    ) -> (width: Int, height: Int) {
        precondition(width > 0 && height > 0 && refRes > 0, "Sizes are positive.")
        let factor = (Double(refRes * refRes) / Double(height * width)).squareRoot()
        func side(_ length: Int) -> Int {
            max(16, Int(Double(length) * factor) / 16 * 16)
        }
        return (side(width), side(height))
    }
}

/// How the samples of one side map to those of another.
private struct Axis {
    let source: Int
    let target: Int

    /// Target over source.
    let inverse: Double

    /// Source over target, rounded twice as OpenCV has it.
    let scale: Double

    init(source: Int, target: Int) {
        self.source = source
        self.target = target
        inverse = Double(target) / Double(source)
        scale = 1 / inverse
    }

    /// The samples of a cell where the scale is a whole number.
    var cell: Int? {
        let rounded = scale.rounded(.toNearestOrEven)
        return abs(scale - rounded) < .ulpOfOne ? Int(rounded) : nil
    }

    /// The source samples that each target sample covers, with their shares of it.
    func taps() -> (taps: [imaging_tap], starts: [Int32]) {
        // A sliver thinner than this is rounding noise.
        let thinnest = 1e-3
        var taps: [imaging_tap] = []
        var starts: [Int32] = [0]
        for index in 0..<target {
            let begin = Double(index) * scale
            let end = begin + scale
            let extent = min(scale, Double(source) - begin)
            let last = min(Int(end.rounded(.down)), source - 1)
            let first = min(Int(begin.rounded(.up)), last)
            func add(_ sample: Int, _ share: Double) {
                taps.append(imaging_tap(source: Int32(sample), weight: Float(share / extent)))
            }
            if Double(first) - begin > thinnest {
                add(first - 1, Double(first) - begin)
            }
            for sample in first..<last {
                add(sample, 1)
            }
            if end - Double(last) > thinnest {
                add(last, min(end - Double(last), 1, extent))
            }
            starts.append(Int32(taps.count))
        }
        return (taps, starts)
    }

    /// The two neighbours that each target sample blends.
    func pairs() -> [imaging_pair] {
        (0..<target).map { index in
            var first = Int((Double(index) * scale).rounded(.down))
            var share = Float(Double(index + 1) - Double(first + 1) * inverse)
            share = share <= 0 ? 0 : share - share.rounded(.down)
            if first >= source - 1 {
                first = source - 1
                share = 0
            }
            return imaging_pair(
                first: Int32(first),
                second: Int32(min(first + 1, source - 1)),
                first_weight: fixedPoint(1 - share),
                second_weight: fixedPoint(share)
            )
        }
    }

    /// A share in units of 1/2048.
    private func fixedPoint(_ share: Float) -> Int32 {
        Int32((share * 2048).rounded(.toNearestOrEven))
    }
}
