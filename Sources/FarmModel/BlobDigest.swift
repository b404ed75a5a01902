import Crypto
package import FoundationEssentials

/// The SHA-256 of some bytes, as 64 lower-case hexadecimal digits: the address of a blob.
package struct BlobDigest: RawRepresentable, Hashable, Codable, Sendable, CustomStringConvertible {
    package let rawValue: String

    /// Reads a digest, or returns nil for text that is not 64 hexadecimal digits.
    package init?(rawValue: String) {
        let text = rawValue.lowercased()
        guard text.utf8.count == 64, text.utf8.allSatisfy(Self.hexadecimal.contains) else {
            return nil
        }
        self.rawValue = text
    }

    /// The digest of `data`.
    package init(of data: Data) {
        self.init(bytes: SHA256.hash(data: data))
    }

    /// The digest of `text` in UTF-8.
    package init(ofText text: String) {
        self.init(of: Data(text.utf8))
    }

    /// The digest whose 32 bytes a hash function has already computed.
    package init(bytes: some Sequence<UInt8>) {
        var text = ""
        text.reserveCapacity(64)
        for byte in bytes {
            text.unicodeScalars.append(Unicode.Scalar(Self.hexadecimal[Int(byte >> 4)]))
            text.unicodeScalars.append(Unicode.Scalar(Self.hexadecimal[Int(byte & 15)]))
        }
        rawValue = text
    }

    package var description: String { rawValue }

    private static let hexadecimal = Array("0123456789abcdef".utf8)
}
