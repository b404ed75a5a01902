/// Why a picture could not be read or written, in one line that names it and the remedy.
package enum ImageError: Error, Equatable, CustomStringConvertible {
    /// The file could not be opened or read, with the system's reason.
    case unreadable(name: String, reason: String)

    /// The bytes begin like no format that is read here.
    case unknownFormat(name: String)

    /// The file ends before its picture does.
    case truncated(name: String, format: ImageFormat)

    /// The file breaks its format's rules.
    case broken(name: String, format: ImageFormat, detail: String)

    /// The file uses a variant of its format that the library does not decode.
    case unsupported(name: String, format: ImageFormat, detail: String)

    /// The header states more pixels than the limits allow; nothing was decoded.
    case tooLarge(name: String, width: Int, height: Int, limits: ImageLimits)

    /// The file has more bytes than the limits allow.
    case tooManyBytes(name: String, limit: Int)

    /// The library found no memory.
    case outOfMemory(name: String, format: ImageFormat)

    /// A text to write into a PNG has a keyword or content that the format cannot carry.
    case invalidText(keyword: String, reason: String)

    /// The picture cannot be written.
    case unencodable(detail: String)

    package var description: String {
        switch self {
        case .unreadable(let name, let reason):
            "cannot read \(shown(name)): \(reason); check the path and its permissions"
        case .unknownFormat(let name):
            "\(shown(name)) is not a picture that can be read; give a PNG, JPEG or WebP file"
        case .truncated(let name, let format):
            "\(shown(name)) is a truncated \(format) file; copy or download it again"
        case .broken(let name, let format, let detail):
            "\(shown(name)) is a broken \(format) file (\(shown(detail))); save it again"
        case .unsupported(let name, let format, let detail):
            "\(shown(name)) is a \(format) file of an unsupported kind (\(shown(detail))); "
                + "save it as an 8-bit PNG"
        case .tooLarge(let name, let width, let height, let limits):
            "\(shown(name)) states \(width)x\(height) pixels, over the limit of "
                + "\(limits.maxPixels) pixels and \(limits.maxSide) a side; scale it down first"
        case .tooManyBytes(let name, let limit):
            "\(shown(name)) has more than the \(limit) bytes that are read; save it smaller"
        case .outOfMemory(let name, let format):
            "no memory to decode the \(format) file \(shown(name)); scale it down or free memory"
        case .invalidText(let keyword, let reason):
            "the PNG text \(shown(keyword)) cannot be written: \(reason)"
        case .unencodable(let detail):
            "the picture cannot be written (\(shown(detail))); make it smaller"
        }
    }
}

/// The formats that are read.
package enum ImageFormat: String, CaseIterable, CustomStringConvertible, Sendable {
    case png = "PNG"
    case jpeg = "JPEG"
    case webp = "WebP"

    package var description: String { rawValue }
}

/// What a picture may cost before it is decoded.
package struct ImageLimits: Equatable, Sendable {
    /// Width times height, at most.
    package var maxPixels: Int

    /// Width and height each, at most.
    package var maxSide: Int

    /// Bytes of a file, at most.
    package var maxBytes: Int

    /// Limits for reference pictures: more than any camera's file has, less than harms a machine.
    package init(maxPixels: Int = 1 << 26, maxSide: Int = 1 << 15, maxBytes: Int = 1 << 28) {
        self.maxPixels = maxPixels
        self.maxSide = maxSide
        self.maxBytes = maxBytes
    }
}

/// The text without the line breaks and control characters, which file names may hold, that would
/// break a one-line message.
package func shown(_ text: String) -> String {
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
        let isControl = scalar.value < 32 || (127..<160).contains(scalar.value)
        result.append(isControl || [0x2028, 0x2029].contains(scalar.value) ? "\u{FFFD}" : scalar)
    }
    return String(result)
}
