import Crypto
import FarmModel
package import FoundationEssentials

/// The bytes of a blob as they are read; they can be gone through once.
///
/// A blob that is read as a whole is verified: a damaged one throws before its last chunk, so that
/// whoever is sent the bytes sees that some are missing.
package struct BlobContent: AsyncSequence, Sendable {
    /// How many bytes are read at a time.
    static let chunkSize = 256 << 10

    /// How many bytes the whole blob has.
    package let size: Int64
    /// Which of them come.
    package let range: Range<Int64>

    private let digest: BlobDigest
    private let location: String
    private let read: @Sendable () async throws -> Data?

    /// Content that `read` gives chunk by chunk, with nil at its end.
    init(
        of digest: BlobDigest,
        at location: String,
        size: Int64,
        range: Range<Int64>,
        read: @escaping @Sendable () async throws -> Data?
    ) {
        self.digest = digest
        self.location = location
        self.size = size
        self.range = range
        self.read = read
    }

    /// How many bytes come.
    package var length: Int64 { Int64(range.count) }

    package func makeAsyncIterator() -> Iterator {
        Iterator(content: self)
    }

    /// Reads the bytes and keeps count and hash of them.
    package struct Iterator: AsyncIteratorProtocol {
        private let content: BlobContent
        private var rest: Int64
        private var hash: SHA256?

        fileprivate init(content: BlobContent) {
            self.content = content
            rest = content.length
            hash = content.length == content.size ? SHA256() : nil
        }

        package mutating func next() async throws -> Data? {
            guard rest > 0 || hash != nil else { return nil }
            let chunk = rest > 0 ? try await content.read() : nil
            rest -= Int64(chunk?.count ?? 0)
            if let chunk { hash?.update(data: chunk) }
            guard chunk != nil || rest == 0, rest >= 0 else {
                throw BlobStoreError.damaged(content.location)
            }
            if rest == 0, let hash {
                guard BlobDigest(bytes: hash.finalize()) == content.digest else {
                    throw BlobStoreError.damaged(content.location)
                }
                self.hash = nil
            }
            return chunk
        }
    }
}

extension BlobDigest {
    /// Where a blob lies below a bucket's prefix: two levels deep, as `ab/cd/abcd…`.
    var address: String {
        "\(rawValue.prefix(2))/\(rawValue.dropFirst(2).prefix(2))/\(rawValue)"
    }

    /// The part of a blob of `size` bytes that `range` asks for.
    func part(_ range: Range<Int64>?, ofSize size: Int64) throws(BlobStoreError) -> Range<Int64> {
        guard let range else { return 0..<size }
        guard range.lowerBound >= 0, range.upperBound <= size else {
            throw .badRange(self, size: size)
        }
        return range
    }
}
