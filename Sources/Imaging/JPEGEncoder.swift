import CImaging

/// Writes small 8-bit RGB JPEG files, for previews.
package enum JPEGEncoder {
    /// The bytes of a JPEG file.
    ///
    /// - Parameters:
    ///   - image: The picture.
    ///   - quality: 1...100.
    /// - Returns: The file.
    /// - Throws: `ImageError.unencodable` for a side over 65500, or without memory.
    package static func encode(_ image: PixelImage, quality: Int) throws(ImageError) -> [UInt8] {
        precondition((1...100).contains(quality), "A quality is in 1...100.")
        let side = 65500
        guard image.width <= side, image.height <= side else {
            throw .unencodable(detail: "a side is over \(side)")
        }
        // more than the worst pixels can become: 1.5 samples of 26 bits each, every byte escaped
        var count = 10 * (image.width + 15) * (image.height + 15) + 4096
        var file = [UInt8](repeating: 0, count: count)
        var message = [CChar](repeating: 0, count: IMAGING_MESSAGE_SIZE)
        let status = imaging_jpeg_encode(
            &file,
            &count,
            &message,
            image.pixels,
            UInt32(image.width),
            UInt32(image.height),
            Int32(quality)
        )
        guard status == IMAGING_OK else { throw .unencodable(detail: text(of: message)) }
        return Array(file[..<count])
    }

    /// The bytes of a JPEG file below a size, in the best of some qualities that has it.
    ///
    /// - Parameters:
    ///   - image: The picture.
    ///   - limit: The file has fewer bytes, unless even the lowest quality needs more.
    /// - Returns: The file.
    /// - Throws: `ImageError.unencodable`.
    package static func encode(
        _ image: PixelImage,
        below limit: Int
    ) throws(ImageError) -> [UInt8] {
        var file: [UInt8] = []
        for quality in [80, 60, 40, 20, 5] {
            file = try encode(image, quality: quality)
            if file.count < limit { break }
        }
        return file
    }
}
