/// A few colours that stand for all of a picture's, by median cut.
///
/// Colours are counted in 32 levels a channel. The box of counted colours that holds most is halved along
/// its longest side, again and again, and each box becomes the mean of what is in it.
struct ColorPalette {
    /// Bits of a channel that tell colours apart while they are counted.
    private static let bits = 5
    private static let side = 1 << bits

    /// Red, green and blue of each colour, 0…255.
    private(set) var colors: [SIMD3<Int32>] = []
    /// The colour that stands for each of the counted ones; -1 where it has not been looked for.
    private var nearest = [Int16](repeating: -1, count: side * side * side)

    /// Chooses the colours.
    ///
    /// - Parameters:
    ///   - image: The picture.
    ///   - most: How many colours at most, 1…256.
    ///   - levels: To how many levels from black to white a channel is rounded.
    init(of image: PixelImage, most: Int, levels: Int32) {
        precondition((1...256).contains(most), "A palette has from 1 to 256 colours.")
        var boxes = [Box(image)]
        while boxes.count < most {
            let widest = boxes.indices.max { boxes[$0].weight < boxes[$1].weight }
            guard let widest, let halves = boxes[widest].halved() else { break }
            boxes[widest] = halves.0
            boxes.append(halves.1)
        }
        for (index, box) in boxes.enumerated() {
            let mean = box.mean
            let steps = (mean &* (levels - 1) &+ 127) / 255
            colors.append((steps &* 255 &+ (levels - 1) / 2) / (levels - 1))
            for bin in box.bins { nearest[bin.number] = Int16(index) }
        }
    }

    /// The number of the colour that stands for a colour, whose channels are 0…255.
    mutating func index(of color: SIMD3<Int32>) -> Int {
        let number = Self.number(of: color)
        if nearest[number] >= 0 { return Int(nearest[number]) }
        var best = (index: 0, distance: Int32.max)
        for (index, other) in colors.enumerated() {
            let difference = color &- other
            let distance = (difference &* difference).wrappedSum()
            if distance < best.distance { best = (index, distance) }
        }
        nearest[number] = Int16(best.index)
        return best.index
    }

    private static func number(of color: SIMD3<Int32>) -> Int {
        let part = color &>> Int32(8 - bits)
        return (Int(part.x) * side + Int(part.y)) * side + Int(part.z)
    }

    /// One of the counted colours.
    private struct Bin {
        var number: Int
        var count: Int32 = 0
        /// The sum of its pixels' colours.
        var sum = SIMD3<Int64>()

        /// Its level of a channel, 0…31.
        func level(_ channel: Int) -> Int {
            number >> (ColorPalette.bits * (2 - channel)) & (ColorPalette.side - 1)
        }
    }

    /// Colours that one is to stand for.
    private struct Box {
        let bins: [Bin]
        private let count: Int64
        /// The channel in which its colours are furthest apart, and how far that is.
        private let longest: (channel: Int, extent: Int)

        init(_ bins: [Bin]) {
            self.bins = bins
            count = bins.reduce(0) { $0 + Int64($1.count) }
            var longest = (channel: 0, extent: -1)
            for channel in 0..<3 {
                var (least, most) = (ColorPalette.side, 0)
                for bin in bins {
                    least = min(least, bin.level(channel))
                    most = max(most, bin.level(channel))
                }
                if most - least > longest.extent { longest = (channel, most - least) }
            }
            self.longest = longest
        }

        init(_ image: PixelImage) {
            var all = (0..<side * side * side).map { Bin(number: $0) }
            for start in stride(from: 0, to: image.pixels.count, by: 3) {
                let color = image.color(at: start)
                let number = ColorPalette.number(of: color)
                all[number].count += 1
                all[number].sum &+= SIMD3<Int64>(truncatingIfNeeded: color)
            }
            self.init(all.filter { $0.count > 0 })
        }

        var mean: SIMD3<Int32> {
            let sum = bins.reduce(SIMD3<Int64>()) { $0 &+ $1.sum }
            return SIMD3<Int32>(truncatingIfNeeded: (sum &+ count / 2) / count)
        }

        /// How much is gained by halving it.
        var weight: Int64 { bins.count > 1 ? count * Int64(longest.extent) : 0 }

        /// Its two halves with about as many pixels each; nil where it is one colour.
        func halved() -> (Box, Box)? {
            guard bins.count > 1 else { return nil }
            let channel = longest.channel
            let sorted = bins.sorted {
                ($0.level(channel), $0.number) < ($1.level(channel), $1.number)
            }
            var (place, below) = (0, Int64(0))
            repeat {
                below += Int64(sorted[place].count)
                place += 1
            } while place < sorted.count - 1 && below + Int64(sorted[place].count) <= count / 2
            return (Box(Array(sorted[..<place])), Box(Array(sorted[place...])))
        }
    }
}

extension PixelImage {
    /// The colour whose first level stands at `start` of the pixels.
    func color(at start: Int) -> SIMD3<Int32> {
        SIMD3(Int32(pixels[start]), Int32(pixels[start + 1]), Int32(pixels[start + 2]))
    }
}
