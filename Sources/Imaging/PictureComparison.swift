/// How two picture files agree.
package enum PictureComparison: Equatable, Sendable, CustomStringConvertible {
    /// The files are equal.
    case sameBytes
    /// Every pixel is equal, but the files are not.
    case samePixels
    /// The pictures have different sizes.
    case otherSize(width: Int, height: Int, otherWidth: Int, otherHeight: Int)
    /// Some pixels differ; the first of them stands at column x of row y.
    case otherPixels(count: Int, of: Int, x: Int, y: Int, first: [UInt8], other: [UInt8])

    /// Compares two files.
    ///
    /// - Parameters:
    ///   - first: The bytes of a picture file.
    ///   - other: The bytes of another.
    ///   - names: What errors call them.
    /// - Throws: `ImageError` for bytes that are no picture; never for files that are equal.
    package init(
        _ first: [UInt8],
        _ other: [UInt8],
        names: (first: String, other: String)
    ) throws(ImageError) {
        if first == other {
            self = .sameBytes
            return
        }
        let decoder = ImageDecoder()
        self.init(
            try decoder.decode(first, name: names.first),
            try decoder.decode(other, name: names.other)
        )
    }

    /// Compares the pixels of two pictures.
    package init(_ first: PixelImage, _ other: PixelImage) {
        guard first.width == other.width, first.height == other.height else {
            self = .otherSize(
                width: first.width,
                height: first.height,
                otherWidth: other.width,
                otherHeight: other.height
            )
            return
        }
        guard first.pixels != other.pixels else {
            self = .samePixels
            return
        }
        let different = (0..<first.width * first.height).filter { pixel in
            (3 * pixel..<3 * pixel + 3).contains { first.pixels[$0] != other.pixels[$0] }
        }
        let (x, y) = (different[0] % first.width, different[0] / first.width)
        self = .otherPixels(
            count: different.count,
            of: first.width * first.height,
            x: x,
            y: y,
            first: first[x, y],
            other: other[x, y]
        )
    }

    package var description: String {
        switch self {
        case .sameBytes: "the files are equal"
        case .samePixels:
            "all pixels are equal, the files differ: in what is said of the picture, or in the"
                + " compression library"
        case .otherSize(let width, let height, let otherWidth, let otherHeight):
            "the pictures have \(width)x\(height) and \(otherWidth)x\(otherHeight) pixels"
        case .otherPixels(let count, let all, let x, let y, let first, let other):
            "\(count) of \(all) pixels differ, first at column \(x) of row \(y):"
                + " \(Self.shown(first)) and \(Self.shown(other))"
        }
    }

    private static func shown(_ pixel: [UInt8]) -> String {
        "(\(pixel.map { "\($0)" }.joined(separator: ", ")))"
    }
}
