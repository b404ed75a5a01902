import CImaging
import Glibc

/// A text chunk of a PNG file.
package struct PNGText: Equatable, Sendable {
    /// What the text is, 1...79 printable ASCII characters without a space at either end.
    package let keyword: String

    /// The text, without a zero character.
    package let text: String

    /// Makes a text; whether PNG can carry it is checked when it is written.
    package init(keyword: String, text: String) {
        self.keyword = keyword
        self.text = text
    }

    /// Reads the texts that stand before the pixels of a PNG file, in their order.
    ///
    /// Chunks over 8 MiB, unpacked, are left out. `name` stands in errors.
    package static func read(_ bytes: [UInt8], name: String) throws(ImageError) -> [PNGText] {
        guard ImageFormat(beginning: bytes) == .png else { throw .unknownFormat(name: name) }
        var texts: UnsafeMutablePointer<UInt8>?
        var size = 0
        var count = 0
        var message = [CChar](repeating: 0, count: IMAGING_MESSAGE_SIZE)
        let status = imaging_png_texts(&texts, &size, &count, &message, bytes, bytes.count)
        defer { free(texts) }
        switch status {
        case IMAGING_OK: break
        case IMAGING_TRUNCATED: throw .truncated(name: name, format: .png)
        case IMAGING_OUT_OF_MEMORY: throw .outOfMemory(name: name, format: .png)
        default: throw .broken(name: name, format: .png, detail: Imaging.text(of: message))
        }
        var fields = UnsafeBufferPointer(start: texts, count: size)[...]
        return (0..<count).map { _ in
            let isUTF8 = fields.popFirst() == UInt8(ascii: "U")
            let keyword = takeField(&fields, isUTF8: false)
            return PNGText(keyword: keyword, text: takeField(&fields, isUTF8: isUTF8))
        }
    }

    /// Takes one zero-ended field, UTF-8 or Latin-1.
    private static func takeField(
        _ fields: inout Slice<UnsafeBufferPointer<UInt8>>,
        isUTF8: Bool
    ) -> String {
        let field = fields.prefix { $0 != 0 }
        fields = fields.dropFirst(field.count + 1)
        guard !isUTF8 else { return String(decoding: field, as: UTF8.self) }
        return String(String.UnicodeScalarView(field.map { UnicodeScalar($0) }))
    }

    /// Checks what the format demands.
    func validate() throws(ImageError) {
        let characters = Array(keyword.utf8)
        guard (1...79).contains(characters.count),
            characters.allSatisfy({ (32...126).contains($0) })
        else { throw .invalidText(keyword: keyword, reason: "use 1 to 79 ASCII characters") }
        guard !keyword.hasPrefix(" "), !keyword.hasSuffix(" "), !keyword.utf8Contains("  ") else {
            throw .invalidText(keyword: keyword, reason: "use single spaces, inside only")
        }
        guard !text.utf8.contains(0) else {
            throw .invalidText(keyword: keyword, reason: "remove its zero character")
        }
    }
}

extension String {
    /// True when the bytes of another string stand anywhere in this one.
    fileprivate func utf8Contains(_ other: String) -> Bool {
        let bytes = Array(utf8)
        let wanted = Array(other.utf8)
        return bytes.indices.contains { bytes[$0...].starts(with: wanted) }
    }
}
