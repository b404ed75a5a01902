/// A picture of 8-bit RGB pixels.
package struct PixelImage: Equatable, Sendable {
    /// Pixels in a row.
    package let width: Int

    /// Rows.
    package let height: Int

    /// The levels, row-major and interleaved: (height, width, 3).
    package private(set) var pixels: [UInt8]

    /// Wraps levels of shape (height, width, 3).
    package init(width: Int, height: Int, pixels: [UInt8]) {
        precondition(width > 0 && height > 0, "A picture has at least one pixel.")
        precondition(pixels.count == 3 * width * height, "A pixel has three levels.")
        self.width = width
        self.height = height
        self.pixels = pixels
    }

    /// Makes a picture of one gray level.
    package init(width: Int, height: Int, level: UInt8) {
        self.init(
            width: width,
            height: height,
            pixels: [UInt8](repeating: level, count: 3 * width * height)
        )
    }

    /// The red, green and blue level of one pixel.
    package subscript(x: Int, y: Int) -> [UInt8] {
        precondition(x >= 0 && x < width && y >= 0 && y < height, "The pixel is in the picture.")
        let start = 3 * (y * width + x)
        return Array(pixels[start..<start + 3])
    }

    /// Copies all of another picture, its upper left pixel to column x and row y.
    mutating func paste(_ image: PixelImage, x: Int, y: Int) {
        precondition(
            x >= 0 && y >= 0 && x + image.width <= width && y + image.height <= height,
            "A pasted picture fits."
        )
        for row in 0..<image.height {
            let source = 3 * row * image.width
            let target = 3 * ((y + row) * width + x)
            pixels.replaceSubrange(
                target..<target + 3 * image.width,
                with: image.pixels[source..<source + 3 * image.width]
            )
        }
    }
}
