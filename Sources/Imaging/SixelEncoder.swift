/// Writes pictures as sixels, the graphics of DEC's terminals: stripes of six rows in up to 256 colours.
///
/// What the colours cannot show of a pixel goes on to its neighbours, as Floyd and Steinberg have it.
package enum SixelEncoder {
    /// Levels of a sixel's colour: percent.
    private static let levels: Int32 = 101
    private static let stripe = 6

    /// Encodes a picture.
    ///
    /// - Parameters:
    ///   - image: The picture.
    ///   - colors: How many colours it may take, 1…256.
    /// - Returns: The control string that shows it.
    package static func encode(_ image: PixelImage, colors: Int = 256) -> [UInt8] {
        var palette = ColorPalette(of: image, most: colors, levels: levels)
        let indices = dithered(image, &palette)
        // Pixels of another shape than 1:1 are old; what is not drawn stays as it is.
        var out = Array("\u{1b}P0;1;0q\"1;1;\(image.width);\(image.height)".utf8)
        for (index, color) in palette.colors.enumerated() {
            let percent = (color &* (levels - 1) &+ 127) / 255
            out += "#\(index);2;\(percent.x);\(percent.y);\(percent.z)".utf8
        }
        for top in stride(from: 0, to: image.height, by: stripe) {
            if top > 0 { out.append(UInt8(ascii: "-")) }
            let end = min(image.height, top + stripe) * image.width
            write(
                indices[top * image.width..<end],
                width: image.width,
                colors: palette.colors.count,
                to: &out
            )
        }
        return out + "\u{1b}\\".utf8
    }

    /// The colour of each pixel, by its number in the palette.
    private static func dithered(_ image: PixelImage, _ palette: inout ColorPalette) -> [UInt8] {
        let width = image.width
        var indices = [UInt8](repeating: 0, count: width * image.height)
        // In sixteenths, with one pixel more at either end.
        var row = [SIMD3<Int32>](repeating: SIMD3(), count: width + 2)
        var next = row
        for y in 0..<image.height {
            for x in 0..<width {
                let carried = (row[x + 1] &+ 8) &>> 4
                let color = (image.color(at: 3 * (y * width + x)) &+ carried)
                    .clamped(lowerBound: SIMD3(repeating: 0), upperBound: SIMD3(repeating: 255))
                let index = palette.index(of: color)
                indices[y * width + x] = UInt8(index)
                let error = color &- palette.colors[index]
                row[x + 2] &+= error &* 7
                next[x] &+= error &* 3
                next[x + 1] &+= error &* 5
                next[x + 2] &+= error
            }
            swap(&row, &next)
            for place in next.indices { next[place] = SIMD3() }
        }
        return indices
    }

    /// Writes one stripe, a colour after the other.
    private static func write(
        _ indices: ArraySlice<UInt8>,
        width: Int,
        colors: Int,
        to out: inout [UInt8]
    ) {
        var columns = [UInt8](repeating: 0, count: colors * width)
        var isUsed = [Bool](repeating: false, count: colors)
        for (place, index) in indices.enumerated() {
            isUsed[Int(index)] = true
            columns[Int(index) * width + place % width] |= 1 << (place / width)
        }
        var isFirst = true
        for color in 0..<colors where isUsed[color] {
            if !isFirst { out.append(UInt8(ascii: "$")) }
            isFirst = false
            out += "#\(color)".utf8
            write(columns[color * width..<(color + 1) * width], to: &out)
        }
    }

    /// Writes the sixels of one colour in runs; nothing behind the last one that is not empty.
    private static func write(_ columns: ArraySlice<UInt8>, to out: inout [UInt8]) {
        guard let last = columns.lastIndex(where: { $0 != 0 }) else { return }
        var start = columns.startIndex
        while start <= last {
            let end = columns[start...last].firstIndex { $0 != columns[start] } ?? last + 1
            let sixel = columns[start] + UInt8(ascii: "?")
            if end - start > 3 {
                out += "!\(end - start)".utf8
                out.append(sixel)
            } else {
                out += repeatElement(sixel, count: end - start)
            }
            start = end
        }
    }
}
