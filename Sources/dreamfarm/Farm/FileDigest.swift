import Crypto
import FarmModel
import FoundationEssentials
import Glibc

/// The digest of a file's bytes, read in pieces.
enum FileDigest {
    private static let pieceSize = 1 << 20

    /// Reads a file once.
    ///
    /// - Parameter path: The file.
    /// - Returns: Its digest, and how many bytes it has.
    /// - Throws: ``UnreadableFileError`` when it cannot be read.
    static func digest(of path: String) throws -> (digest: BlobDigest, size: Int64) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw UnreadableFileError(path: path) }
        defer { close(descriptor) }
        var hash = SHA256()
        var size: Int64 = 0
        var piece = [UInt8](repeating: 0, count: pieceSize)
        while true {
            let count = read(descriptor, &piece, piece.count)
            guard count >= 0 else { throw UnreadableFileError(path: path) }
            if count == 0 { break }
            hash.update(data: piece[..<count])
            size += Int64(count)
        }
        return (BlobDigest(bytes: hash.finalize()), size)
    }
}

/// A file that cannot be read.
struct UnreadableFileError: Error, CustomStringConvertible {
    var path: String

    var description: String {
        "\(path): the file cannot be read; a job names its files relative to the specification"
    }
}
