import BlobStore
import FarmModel
import FoundationEssentials
import Testing

/// What every store has to do.
@Suite struct BlobStorageTests {
    private func entries(of store: any BlobStorage) async throws -> [BlobDigest: Int64] {
        var found: [BlobDigest: Int64] = [:]
        for try await entry in store.entries() {
            #expect(found.updateValue(entry.size, forKey: entry.digest) == nil)
            #expect(abs(entry.storedAt.timeIntervalSinceNow) < 3600)
        }
        return found
    }

    @Test(
        "what is stored in pieces is read back",
        arguments: TestStore.allCases,
        [0, 1, 100_000, 262_144, 1_000_000]
    )
    func roundTrip(kind: TestStore, count: Int) async throws {
        let data = pattern(count)
        let digest = BlobDigest(of: data)
        try await kind.lend { store in
            #expect(try await store.size(of: digest) == nil)
            #expect(try await !store.contains(digest))
            let stored = try await store.store(pieces(of: data, 70_001))
            #expect(stored.digest == digest)
            #expect(stored.size == Int64(count))
            #expect(try await store.size(of: digest) == Int64(count))
            #expect(try await store.contains(digest))
            #expect(try await store.read(digest) == data)
            #expect(try await entries(of: store) == [digest: Int64(count)])
        }
    }

    @Test(
        "a range gives its bytes and no others",
        arguments: TestStore.allCases,
        [0..<1, 5..<5, 99_999..<100_000, 1..<90_000, 0..<100_000]
    )
    func ranges(kind: TestStore, range: Range<Int>) async throws {
        let data = pattern(100_000)
        try await kind.lend { store in
            let digest = try await store.store(data).digest
            let content = try await store.open(
                digest,
                range: Int64(range.lowerBound)..<Int64(range.upperBound)
            )
            #expect(content.size == 100_000)
            #expect(content.length == Int64(range.count))
            var read = Data()
            for try await chunk in content { read.append(chunk) }
            #expect(read == data[range])
        }
    }

    @Test("a range beyond the blob is refused", arguments: TestStore.allCases)
    func badRange(kind: TestStore) async throws {
        try await kind.lend { store in
            let digest = try await store.store(Data("abc".utf8)).digest
            await #expect(throws: BlobStoreError.badRange(digest, size: 3)) {
                _ = try await store.open(digest, range: 1..<4)
            }
        }
    }

    @Test(
        "storing the same bytes again changes nothing, at once too",
        arguments: TestStore.allCases
    )
    func twice(kind: TestStore) async throws {
        let data = pattern(600_000)
        let digest = BlobDigest(of: data)
        try await kind.lend { store in
            try await withThrowingTaskGroup(of: StoredBlob.self) { group in
                for index in 0..<8 {
                    group.addTask {
                        try await store.store(data, expecting: index % 2 == 0 ? digest : nil)
                    }
                }
                for try await stored in group { #expect(stored.digest == digest) }
            }
            #expect(try await store.read(digest) == data)
            #expect(try await entries(of: store) == [digest: 600_000])
        }
    }

    @Test(
        "bytes with another digest are refused and leave nothing behind",
        arguments: TestStore.allCases,
        [5, 600_000]
    )
    func mismatch(kind: TestStore, count: Int) async throws {
        let expected = BlobDigest(ofText: "right")
        let found = BlobDigest(of: pattern(count))
        try await kind.lend { store async throws in
            await #expect(
                throws: BlobStoreError.digestMismatch(expected: expected, found: found)
            ) {
                _ = try await store.store(pattern(count), expecting: expected)
            }
            #expect(try await store.missing(among: [expected, found]) == [expected, found])
            #expect(try await entries(of: store).isEmpty)
            #expect(try await store.removeAbandoned(olderThan: .seconds(-10)) == 0)
        }
    }

    @Test("more bytes than allowed are refused", arguments: TestStore.allCases, [10, 600_000])
    func limit(kind: TestStore, limit: Int) async throws {
        try await kind.lend { store in
            let exact = try await store.store(
                pieces(of: pattern(limit), 65_536),
                limit: Int64(limit)
            )
            #expect(exact.size == Int64(limit))
            await #expect(throws: BlobStoreError.tooLarge(limit: Int64(limit))) {
                try await store.store(
                    pieces(of: pattern(limit + 1), 65_536),
                    limit: Int64(limit)
                )
            }
            #expect(try await entries(of: store) == [exact.digest: exact.size])
            await #expect(throws: BlobStoreError.tooLarge(limit: Int64(limit) - 1)) {
                try await store.read(exact.digest, limit: Int64(limit) - 1)
            }
        }
    }

    @Test("a body that breaks off leaves nothing behind", arguments: TestStore.allCases)
    func brokenBody(kind: TestStore) async throws {
        struct Broken: Error {}
        let (chunks, feed) = AsyncThrowingStream.makeStream(of: Data.self)
        feed.yield(pattern(600_000))
        feed.finish(throwing: Broken())
        try await kind.lend { store async throws in
            await #expect(throws: Broken.self) { _ = try await store.store(chunks) }
            #expect(try await entries(of: store).isEmpty)
            #expect(try await store.removeAbandoned(olderThan: .seconds(-10)) == 0)
        }
    }

    @Test(
        "what was begun and not finished is removed when it is old",
        arguments: TestStore.allCases
    )
    func abandoned(kind: TestStore) async throws {
        try await kind.lend { store in
            let digest = BlobDigest(of: pattern(600_000))
            let writer = try await store.makeWriter(expecting: digest)
            try await writer.append(pattern(600_000))
            #expect(writer.count == 600_000)
            #expect(try await store.removeAbandoned(olderThan: .seconds(3600)) == 0)
            #expect(try await store.removeAbandoned(olderThan: .seconds(-10)) == 1)
            #expect(try await store.removeAbandoned(olderThan: .seconds(-10)) == 0)
            await writer.discard()
            #expect(try await !store.contains(digest))
        }
    }

    @Test("a blob is removed once, and is missing from then on", arguments: TestStore.allCases)
    func removal(kind: TestStore) async throws {
        try await kind.lend { store in
            let kept = try await store.store(Data("kept".utf8)).digest
            let gone = try await store.store(Data("gone".utf8)).digest
            for _ in 0..<2 { try await store.remove(gone) }
            #expect(try await store.size(of: gone) == nil)
            #expect(try await store.missing(among: [gone, kept, gone]) == [gone, gone])
            #expect(try await entries(of: store) == [kept: 4])
            await #expect(throws: BlobStoreError.missing(gone)) { try await store.read(gone) }
        }
    }

    @Test(
        "a blob that is asked for is young again, and no removal of old ones takes it",
        arguments: TestStore.allCases
    )
    func refreshing(kind: TestStore) async throws {
        try await kind.lend { store, age in
            let digest = try await store.store(Data("asked for".utf8)).digest
            let unknown = BlobDigest(ofText: "unknown")
            let yesterday = Date(timeIntervalSinceNow: -86_400)
            try await age(digest, yesterday.addingTimeInterval(-3600))
            #expect(try await store.missing(among: [digest, unknown]) == [unknown])
            for try await entry in store.entries() { #expect(entry.storedAt > yesterday) }
            #expect(try await !store.remove(digest, storedBefore: yesterday))
            #expect(try await store.read(digest) == Data("asked for".utf8))
            #expect(try await store.refresh(digest))
            #expect(try await !store.refresh(unknown))
            #expect(try await !store.remove(unknown, storedBefore: yesterday))
            try await age(digest, yesterday.addingTimeInterval(-3600))
            #expect(try await store.remove(digest, storedBefore: yesterday))
            #expect(try await !store.contains(digest))
            #expect(try await store.removeAbandoned(olderThan: .seconds(-10)) == 0)
        }
    }

    @Test("many blobs are listed, each once", arguments: TestStore.allCases)
    func listing(kind: TestStore) async throws {
        try await kind.lend { store in
            var expected: [BlobDigest: Int64] = [:]
            for index in 0..<40 {
                let stored = try await store.store(Data("blob \(index)".utf8))
                expected[stored.digest] = stored.size
            }
            #expect(expected.count == 40)
            #expect(try await entries(of: store) == expected)
            let unknown = BlobDigest(ofText: "unknown")
            let asked = Array(expected.keys) + [unknown]
            #expect(try await store.missing(among: asked) == [unknown])
        }
    }

    @Test(
        "the probe gives a store an id, keeps it, and tells stores apart",
        arguments: TestStore.allCases
    )
    func probe(kind: TestStore) async throws {
        try await kind.lend { store in
            await #expect(
                throws: BlobStoreError.anotherStore(
                    location: store.location,
                    expected: "x",
                    found: nil
                )
            ) { try await store.probe(expecting: "x") }
            let id = try await store.probe(expecting: nil)
            #expect(!id.isEmpty)
            #expect(try await store.probe(expecting: nil) == id)
            #expect(try await store.probe(expecting: id) == id)
            #expect(try await store.establishIdentifier("second") == id)
            await #expect(
                throws: BlobStoreError.anotherStore(
                    location: store.location,
                    expected: "x",
                    found: id
                )
            ) { try await store.probe(expecting: "x") }
            #expect(try await entries(of: store).isEmpty)
        }
    }
}
