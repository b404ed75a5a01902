import CImaging
import Glibc

/// Reads PNG, JPEG and WebP files as 8-bit RGB.
///
/// Alpha and transparent colours are blended over white, EXIF orientation is applied, of 16-bit
/// levels (gray or colour) the high byte stays, CMYK inks are read as Adobe stores them, colour
/// profiles are not applied, an animation yields its first frame. The header is held against the
/// limits before any pixel is decoded.
package struct ImageDecoder: Sendable {
    /// What a picture may cost.
    package let limits: ImageLimits

    /// Makes a decoder with limits.
    package init(limits: ImageLimits = ImageLimits()) {
        self.limits = limits
    }

    /// Reads and decodes a file.
    package func decode(path: String) throws(ImageError) -> PixelImage {
        try decode(bytes(ofFile: path), name: path)
    }

    /// Decodes the bytes of a file; `name` stands in errors.
    package func decode(_ bytes: [UInt8], name: String) throws(ImageError) -> PixelImage {
        guard let format = ImageFormat(beginning: bytes) else { throw .unknownFormat(name: name) }
        let codec = format.codec
        var header = imaging_header()
        try check(name, format) { message in
            codec.header(&header, message, bytes, bytes.count)
        }
        let width = Int(header.width)
        let height = Int(header.height)
        guard width > 0, height > 0 else {
            throw .broken(name: name, format: format, detail: "a side is zero")
        }
        guard width <= limits.maxSide, height <= limits.maxSide, width * height <= limits.maxPixels
        else { throw .tooLarge(name: name, width: width, height: height, limits: limits) }

        var pixels = [UInt8](repeating: 0, count: width * height * Int(header.channels))
        var exif = [UInt8](repeating: 0, count: IMAGING_EXIF_SIZE)
        var exifCount = 0
        try check(name, format) { message in
            codec.decode(&pixels, &exif, &exifCount, message, bytes, bytes.count, header)
        }
        if header.channels == 4 {
            pixels = flattened(pixels)
        }
        let image = PixelImage(width: width, height: height, pixels: pixels)
        return image.oriented(EXIFOrientation(exif: exif[..<exifCount]))
    }

    /// Turns a codec's status into the error that fits it.
    private func check(
        _ name: String,
        _ format: ImageFormat,
        _ body: (UnsafeMutablePointer<CChar>) -> imaging_status
    ) throws(ImageError) {
        var message = [CChar](repeating: 0, count: IMAGING_MESSAGE_SIZE)
        let status = message.withUnsafeMutableBufferPointer { buffer in
            buffer.baseAddress.map(body) ?? IMAGING_OUT_OF_MEMORY
        }
        switch status {
        case IMAGING_OK: return
        case IMAGING_TRUNCATED: throw .truncated(name: name, format: format)
        case IMAGING_UNSUPPORTED:
            throw .unsupported(name: name, format: format, detail: text(of: message))
        case IMAGING_OUT_OF_MEMORY: throw .outOfMemory(name: name, format: format)
        default: throw .broken(name: name, format: format, detail: text(of: message))
        }
    }

    /// Blends (count, 4) over white.
    private func flattened(_ rgba: [UInt8]) -> [UInt8] {
        let count = rgba.count / 4
        var rgb = [UInt8](repeating: 0, count: 3 * count)
        imaging_flatten(&rgb, rgba, count)
        return rgb
    }

    /// Reads a whole file, at most as many bytes as the limits allow.
    package func bytes(ofFile path: String) throws(ImageError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unreadable(name: path, reason: reason(errno)) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw .unreadable(name: path, reason: reason(errno))
        }
        guard Int(status.st_size) <= limits.maxBytes else {
            throw .tooManyBytes(name: path, limit: limits.maxBytes)
        }
        // A pipe has no size; it is read in steps like a file that grows meanwhile.
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Int(status.st_size) + 1)
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw .unreadable(name: path, reason: reason(errno)) }
            guard count > 0 else { return bytes }
            guard bytes.count + count <= limits.maxBytes else {
                throw .tooManyBytes(name: path, limit: limits.maxBytes)
            }
            bytes.append(contentsOf: chunk[..<count])
        }
    }
}

extension ImageFormat {
    /// The format whose signature a file begins with, or nil.
    init?(beginning bytes: [UInt8]) {
        if bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) {
            self = .png
        } else if bytes.starts(with: [0xFF, 0xD8, 0xFF]) {
            self = .jpeg
        } else if bytes.starts(with: Array("RIFF".utf8)),
            bytes.dropFirst(8).starts(with: Array("WEBP".utf8))
        {
            self = .webp
        } else {
            return nil
        }
    }

    /// The C functions that read the format.
    fileprivate var codec: Codec {
        switch self {
        case .png: Codec(header: imaging_png_header, decode: imaging_png_decode)
        case .jpeg: Codec(header: imaging_jpeg_header, decode: imaging_jpeg_decode)
        case .webp: Codec(header: imaging_webp_header, decode: imaging_webp_decode)
        }
    }
}

/// The two steps of reading a format, declared in `CImaging.h`.
private struct Codec {
    typealias Byte = UInt8

    let header:
        (
            UnsafeMutablePointer<imaging_header>, UnsafeMutablePointer<CChar>,
            UnsafePointer<Byte>, Int
        ) -> imaging_status
    let decode:
        (
            UnsafeMutablePointer<Byte>, UnsafeMutablePointer<Byte>, UnsafeMutablePointer<Int>,
            UnsafeMutablePointer<CChar>, UnsafePointer<Byte>, Int, imaging_header
        ) -> imaging_status
}

/// The text of a C string in an array.
func text(of message: [CChar]) -> String {
    let bytes = message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    return String(decoding: bytes, as: UTF8.self)
}

/// The system's words for an error number.
func reason(_ number: Int32) -> String {
    var message = [CChar](repeating: 0, count: 128)
    guard strerror_r(number, &message, message.count) == 0 else { return "error \(number)" }
    return text(of: message)
}
