import CImaging
import Glibc

/// Writes 8-bit RGB PNG files.
///
/// The bytes depend on pixels, texts and the compression library alone: no time, no names. Texts
/// stand before the pixels, plain ASCII as `tEXt`, others as `iTXt`.
package enum PNGEncoder {
    /// The bytes of a PNG file.
    ///
    /// - Throws: `ImageError.invalidText` for a text that PNG cannot carry.
    package static func encode(
        _ image: PixelImage,
        texts: [PNGText] = []
    ) throws(ImageError) -> [UInt8] {
        var pairs: [CChar] = []
        for text in texts {
            try text.validate()
            for field in [text.keyword, text.text] {
                pairs += field.utf8.map { CChar(bitPattern: $0) } + [0]
            }
        }
        guard image.width <= Int32.max, image.height <= Int32.max else {
            throw .unencodable(detail: "a side is over 2147483647")
        }
        var file: UnsafeMutablePointer<UInt8>?
        var count = 0
        var message = [CChar](repeating: 0, count: IMAGING_MESSAGE_SIZE)
        let status = imaging_png_encode(
            &file,
            &count,
            &message,
            image.pixels,
            pairs,
            texts.count,
            UInt32(image.width),
            UInt32(image.height)
        )
        defer { free(file) }
        guard status == IMAGING_OK else { throw .unencodable(detail: text(of: message)) }
        return Array(UnsafeBufferPointer(start: file, count: count))
    }
}
