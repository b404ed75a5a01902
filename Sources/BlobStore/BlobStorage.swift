package import FarmModel
package import FoundationEssentials

/// A store of blobs, each at the address of its SHA-256: a folder or an S3 bucket.
///
/// A blob appears whole or not at all. Storing the same bytes again changes nothing, at the same
/// time from several processes too. Every function throws ``BlobStoreError``, or
/// `CancellationError` where the task was cancelled.
package protocol BlobStorage: Sendable {
    /// Where the store is, for logs: a folder's path or an `s3://` address.
    var location: String { get }

    /// How many bytes the blob has, or nil where it is not in the store.
    func size(of digest: BlobDigest) async throws -> Int64?

    /// The blob's bytes, or those of `range`; a blob read as a whole is verified.
    func open(_ digest: BlobDigest, range: Range<Int64>?) async throws -> BlobContent

    /// A writer of one new blob, which the caller commits or discards; where it is `expected`, the
    /// bytes must have that digest.
    func makeWriter(expecting expected: BlobDigest?) async throws -> any BlobWriter

    /// Makes a blob as young as one that is stored now, so that no sweep takes it before it is
    /// named; false where it is not in the store.
    func refresh(_ digest: BlobDigest) async throws -> Bool

    /// Removes the blob, if it is there.
    func remove(_ digest: BlobDigest) async throws

    /// Removes the blob where it was stored, and refreshed, before a moment.
    ///
    /// - Returns: Whether it was removed.
    func remove(_ digest: BlobDigest, storedBefore moment: Date) async throws -> Bool

    /// Every blob of the store, in no order, read as it is asked for.
    func entries() -> AsyncThrowingStream<BlobEntry, any Error>

    /// Removes what was begun longer than `age` ago and never finished; anything younger may be
    /// another process's work.
    ///
    /// - Returns: How many unfinished blobs were removed.
    func removeAbandoned(olderThan age: Duration) async throws -> Int

    /// The id that the store's probe holds, or nil where there is no probe.
    func identifier() async throws -> String?

    /// Writes a probe that holds `proposed` where there is none, and returns what the probe holds.
    func establishIdentifier(_ proposed: String) async throws -> String

    /// How much room is left, or nil where the store does not know.
    func freeSpace() async throws -> FreeSpace?
}

/// A blob that is being written; it has one caller at a time.
package protocol BlobWriter: Sendable {
    /// How many bytes were written so far.
    var count: Int64 { get }

    /// Writes more bytes.
    func append(_ bytes: Data) async throws

    /// Puts the blob at its address, durably.
    ///
    /// - Returns: What was stored.
    /// - Throws: ``BlobStoreError/digestMismatch(expected:found:)`` when the bytes are not those
    ///   that were expected.
    func commit() async throws -> StoredBlob

    /// Removes what was written, if it was not committed.
    func discard() async
}

/// What a store took.
package struct StoredBlob: Hashable, Sendable {
    package let digest: BlobDigest
    package let size: Int64
}

/// A blob as a store lists it.
package struct BlobEntry: Hashable, Sendable {
    package let digest: BlobDigest
    package let size: Int64
    /// When it was stored, or refreshed, last.
    package let storedAt: Date
}

/// How much room a store has, in bytes.
package struct FreeSpace: Hashable, Sendable {
    /// What can still be written.
    package let available: Int64
    package let total: Int64

    package init(available: Int64, total: Int64) {
        self.available = available
        self.total = total
    }

    /// The part of the whole that is left, 0…1.
    package var fraction: Double { total > 0 ? Double(available) / Double(total) : 0 }
}

extension BlobStorage {
    /// Whether the blob is in the store.
    package func contains(_ digest: BlobDigest) async throws -> Bool {
        try await size(of: digest) != nil
    }

    /// Those of `digests` that are not in the store, in their order; asks for 16 at a time.
    ///
    /// Those that are there are refreshed: whoever asks is about to name them.
    package func missing(among digests: [BlobDigest]) async throws -> [BlobDigest] {
        try await withThrowingTaskGroup(of: (Int, Bool).self) { group in
            var isMissing = [Bool](repeating: false, count: digests.count)
            for (index, digest) in digests.enumerated() {
                if index >= 16, let (done, found) = try await group.next() {
                    isMissing[done] = !found
                }
                group.addTask { (index, try await refresh(digest)) }
            }
            for try await (done, found) in group { isMissing[done] = !found }
            return zip(digests, isMissing).filter(\.1).map(\.0)
        }
    }

    // MARK: - Reading

    /// The blob's bytes, verified.
    package func open(_ digest: BlobDigest) async throws -> BlobContent {
        try await open(digest, range: nil)
    }

    /// The blob's bytes in memory, verified.
    ///
    /// - Parameters:
    ///   - digest: The blob's digest.
    ///   - limit: The most bytes that are read.
    /// - Returns: All of its bytes.
    /// - Throws: ``BlobStoreError``, also when the blob is longer than `limit`.
    package func read(_ digest: BlobDigest, limit: Int64 = 64 << 20) async throws -> Data {
        let content = try await open(digest)
        guard content.size <= limit else { throw BlobStoreError.tooLarge(limit: limit) }
        var data = Data()
        data.reserveCapacity(Int(content.size))
        for try await chunk in content { data.append(chunk) }
        return data
    }

    // MARK: - Writing

    /// Stores `data`.
    @discardableResult
    package func store(
        _ data: Data,
        expecting expected: BlobDigest? = nil
    ) async throws -> StoredBlob {
        try await withWriter(expecting: expected) { try await $0.append(data) }
    }

    /// Stores what `chunks` hold, as they come; nothing is left behind when it throws.
    ///
    /// - Parameters:
    ///   - chunks: The blob's bytes.
    ///   - expected: The digest that the bytes must have, if it is known.
    ///   - limit: The most bytes that are taken.
    /// - Returns: What was stored, durably.
    /// - Throws: ``BlobStoreError``, or what `chunks` throw.
    package func store<Chunks: AsyncSequence>(
        _ chunks: Chunks,
        expecting expected: BlobDigest? = nil,
        limit: Int64 = .max
    ) async throws -> StoredBlob where Chunks.Element == Data {
        try await withWriter(expecting: expected) { writer in
            var pending = Data()
            for try await chunk in chunks {
                pending.append(chunk)
                guard writer.count + Int64(pending.count) <= limit else {
                    throw BlobStoreError.tooLarge(limit: limit)
                }
                // A hop to a file's thread costs more than copying a small chunk.
                if pending.count >= BlobContent.chunkSize {
                    try await writer.append(pending)
                    pending = Data()
                }
            }
            if !pending.isEmpty { try await writer.append(pending) }
        }
    }

    private func withWriter(
        expecting expected: BlobDigest?,
        _ body: (any BlobWriter) async throws -> Void
    ) async throws -> StoredBlob {
        let writer = try await makeWriter(expecting: expected)
        do {
            try await body(writer)
            return try await writer.commit()
        } catch {
            await writer.discard()
            throw error
        }
    }

    // MARK: - Health

    /// The store's id, after the store has proved that it is the one that is expected.
    ///
    /// - Parameter expected: The id on record; nil where there is none, which gives a store
    ///   without a probe an id.
    /// - Returns: The id that the store's probe holds.
    /// - Throws: ``BlobStoreError/anotherStore(location:expected:found:)`` when the probe is
    ///   missing or holds another id, and ``BlobStoreError`` when it cannot be read.
    @discardableResult
    package func probe(expecting expected: String?) async throws -> String {
        let found = try await identifier()
        if let expected {
            guard found == expected else {
                throw BlobStoreError.anotherStore(
                    location: location,
                    expected: expected,
                    found: found
                )
            }
            return expected
        }
        if let found { return found }
        return try await establishIdentifier(UUID().uuidString.lowercased())
    }
}
