import Crypto
import Glibc

/// What is said about one adapter: by `model inspect`, and in a picture's provenance.
package struct AdapterListing: Sendable, Equatable, CustomStringConvertible {
    /// Its name: DreamO's relative to `dreamo/`, a user's as it was given.
    package let name: String
    /// The factor of its products.
    package let strength: Float
    /// How many pairs of matrices it has for the transformer.
    package let pairCount: Int
    /// The ranks of its pairs, ascending.
    package let ranks: [Int]
    /// The file's SHA-256, as 64 hexadecimal digits.
    package let digest: String

    /// One line: name, weight, pairs, ranks, digest.
    package var description: String {
        let ranks = ranks.map(String.init).joined(separator: "/")
        let rank = ranks.isEmpty ? "" : " of rank \(ranks)"
        return "\(name) × \(strength), \(pairCount) pairs\(rank), sha256 \(digest)"
    }

    init(name: String, adapter: WeightedAdapter) throws(AdapterError) {
        self.name = name
        strength = adapter.strength
        pairCount = adapter.file.pairCount
        ranks = adapter.file.ranks
        digest = try fileDigest(adapter.file.path)
    }
}

extension AdapterSet {
    /// Describes every adapter in use, in order.
    ///
    /// Reads each file once for its digest.
    ///
    /// - Parameter known: How many of the first adapters are left out.
    /// - Returns: The others' descriptions.
    /// - Throws: `AdapterError.unreadable`.
    package func listing(after known: Int = 0) throws(AdapterError) -> [AdapterListing] {
        var rows: [AdapterListing] = []
        for (name, adapter) in zip(names, adapters).dropFirst(known) {
            rows.append(try AdapterListing(name: name, adapter: adapter))
        }
        return rows
    }
}

/// Whether something that can be opened as a file has that path.
func fileExists(_ path: String) -> Bool {
    access(path, F_OK) == 0
}

/// The SHA-256 of a file's bytes, as 64 hexadecimal digits; reads it piece by piece.
func fileDigest(_ path: String) throws(AdapterError) -> String {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
        throw .unreadable(path: path, reason: String(cString: strerror(errno)))
    }
    defer { close(descriptor) }
    var hash = SHA256()
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    while true {
        let count = read(descriptor, &buffer, buffer.count)
        guard count >= 0 else {
            if errno == EINTR { continue }
            throw .unreadable(path: path, reason: String(cString: strerror(errno)))
        }
        if count == 0 { break }
        buffer.withUnsafeBytes { hash.update(bufferPointer: .init(rebasing: $0[..<count])) }
    }
    return hexadecimal(hash.finalize())
}
