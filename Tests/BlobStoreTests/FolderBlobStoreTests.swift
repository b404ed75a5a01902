import BlobStore
import FarmModel
import FoundationEssentials
import Testing

@Suite struct FolderBlobStoreTests {
    /// Lends a store in a folder that is removed afterwards.
    private func withStore(_ body: (FolderBlobStore) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.path + "/blobs-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(FolderBlobStore(folder: folder))
    }

    private func files(in folder: String) -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    }

    @Test("what is written is read back, from its address", arguments: [0, 1, 100_000])
    func roundTrip(count: Int) async throws {
        let data = Data((0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) })
        try await withStore { store in
            let digest = try await store.write(data)
            #expect(digest == BlobDigest(of: data))
            #expect(try await store.read(digest) == data)
            #expect(store.size(of: digest) == Int64(count))
            let text = digest.rawValue
            let second = text.dropFirst(2).prefix(2)
            #expect(store.path(of: digest) == "\(store.folder)/\(text.prefix(2))/\(second)/\(text)")
            #expect(files(in: store.folder + "/incoming").isEmpty)
        }
    }

    @Test("storing the same bytes again changes nothing")
    func twice() async throws {
        try await withStore { store in
            let first = try await store.write(Data("a".utf8))
            let second = try await store.write(Data("a".utf8), expecting: first)
            #expect(first == second)
            #expect(store.size(of: first) == 1)
        }
    }

    @Test("bytes with another digest are refused and leave nothing behind")
    func mismatch() async throws {
        try await withStore { store in
            let expected = BlobDigest(ofText: "right")
            let found = BlobDigest(ofText: "wrong")
            await #expect(
                throws: BlobStoreError.digestMismatch(expected: expected, found: found)
            ) {
                try await store.write(Data("wrong".utf8), expecting: expected)
            }
            #expect(!store.contains(expected))
            #expect(!store.contains(found))
            #expect(files(in: store.folder + "/incoming").isEmpty)
        }
    }

    @Test("a writer takes its bytes in pieces, and one that is dropped leaves nothing")
    func pieces() async throws {
        try await withStore { store in
            let writer = try store.makeWriter()
            for piece in ["ab", "", "c"] {
                try Array(piece.utf8).withUnsafeBytes { try writer.append($0) }
            }
            #expect(writer.count == 3)
            #expect(try await store.finish(writer) == BlobDigest(ofText: "abc"))
            do {
                let dropped = try store.makeWriter()
                try [UInt8(1)].withUnsafeBytes { try dropped.append($0) }
            }
            #expect(files(in: store.folder + "/incoming").isEmpty)
        }
    }

    @Test("a missing blob and a damaged one are told apart")
    func failures() async throws {
        try await withStore { store in
            let missing = BlobDigest(ofText: "missing")
            await #expect(throws: BlobStoreError.missing(missing)) {
                try await store.read(missing)
            }
            let digest = try await store.write(Data("good".utf8))
            let path = try #require(store.path(of: digest))
            #expect(FileManager.default.createFile(atPath: path, contents: Data("bad".utf8)))
            await #expect(throws: BlobStoreError.damaged(path)) { try await store.read(digest) }
        }
    }
}
