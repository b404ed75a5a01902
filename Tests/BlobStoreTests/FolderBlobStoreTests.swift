import BlobStore
import FarmModel
import FoundationEssentials
import Testing

/// What only a folder has to do.
@Suite struct FolderBlobStoreTests {
    private func path(of digest: BlobDigest, in folder: String) -> String {
        "\(folder)/\(digest.rawValue.prefix(2))/\(digest.rawValue)"
    }

    @Test("a blob lies at the address of its digest, and nothing is left aside")
    func address() async throws {
        try await TemporaryFolder.lend { folder in
            let store = try FolderBlobStore(folder: folder)
            let digest = try await store.store(Data("a".utf8)).digest
            let contents = FileManager.default.contents(atPath: path(of: digest, in: folder))
            #expect(contents == Data("a".utf8))
            let aside = try FileManager.default.contentsOfDirectory(atPath: folder + "/incoming")
            #expect(aside.isEmpty)
        }
    }

    @Test("a store that is opened again has its blobs, also after its folders were emptied")
    func reopened() async throws {
        try await TemporaryFolder.lend { folder in
            let first = try FolderBlobStore(folder: folder)
            let digest = try await first.store(Data("a".utf8)).digest
            #expect(try await FolderBlobStore(folder: folder).contains(digest))
            let upper = "\(folder)/\(digest.rawValue.prefix(2))"
            try FileManager.default.removeItem(atPath: upper)
            #expect(try await first.store(Data("a".utf8)).digest == digest)
            #expect(try await first.contains(digest))
        }
    }

    @Test("a blob where version 0.1 put it is read, listed and removed")
    func former() async throws {
        try await TemporaryFolder.lend { folder in
            let store = try FolderBlobStore(folder: folder)
            let digest = BlobDigest(ofText: "a")
            let text = digest.rawValue
            let parent = "\(folder)/\(text.prefix(2))/\(text.dropFirst(2).prefix(2))"
            try FileManager.default.createDirectory(
                atPath: parent,
                withIntermediateDirectories: true
            )
            let path = "\(parent)/\(text)"
            #expect(FileManager.default.createFile(atPath: path, contents: Data("a".utf8)))
            #expect(try await store.size(of: digest) == 1)
            #expect(try await store.read(digest) == Data("a".utf8))
            var found: [BlobDigest] = []
            for try await entry in store.entries() { found.append(entry.digest) }
            #expect(found == [digest])
            try await store.remove(digest)
            #expect(try await !store.contains(digest))
        }
    }

    @Test("what was begun beside blobs and never finished is removed, and is no blob before")
    func abandoned() async throws {
        try await TemporaryFolder.lend { folder in
            let store = try FolderBlobStore(folder: folder)
            let digest = try await store.store(Data("a".utf8)).digest
            let parent = String(path(of: digest, in: folder).dropLast(65))
            #expect(
                FileManager.default.createFile(atPath: parent + "/.begun", contents: Data([1]))
            )
            var found: [BlobDigest] = []
            for try await entry in store.entries() { found.append(entry.digest) }
            #expect(found == [digest])
            #expect(try await store.removeAbandoned(olderThan: .seconds(3600)) == 0)
            #expect(try await store.removeAbandoned(olderThan: .seconds(-10)) == 1)
            #expect(try await store.contains(digest))
        }
    }

    @Test("a blob of many pieces is the same whatever is held in memory", arguments: [1, 3, 9])
    func pieces(count: Int) async throws {
        try await TemporaryFolder.lend { folder in
            let store = try FolderBlobStore(folder: folder)
            let writer = try await store.makeWriter(expecting: nil)
            var whole = Data()
            for number in 0..<count {
                let piece = pattern(100_000 + number)
                try await writer.append(piece)
                whole.append(piece)
            }
            #expect(writer.count == Int64(whole.count))
            let stored = try await writer.commit()
            #expect(stored.size == Int64(whole.count))
            #expect(try await store.read(stored.digest) == whole)
        }
    }

    @Test("a writer that is dropped leaves nothing")
    func dropped() async throws {
        try await TemporaryFolder.lend { folder in
            let store = try FolderBlobStore(folder: folder)
            do {
                let writer = try await store.makeWriter(expecting: nil)
                try await writer.append(pattern(300_000))
                let aside = try FileManager.default.contentsOfDirectory(
                    atPath: folder + "/incoming"
                )
                #expect(aside.count == 1)
            }
            #expect(try await store.removeAbandoned(olderThan: .seconds(-10)) == 0)
        }
    }

    @Test("a damaged blob throws before its last chunk and is mended by storing it again")
    func damage() async throws {
        try await TemporaryFolder.lend { folder in
            let store = try FolderBlobStore(folder: folder)
            let data = pattern(600_000)
            let digest = try await store.store(data).digest
            var damaged = data
            damaged[3] ^= 1
            let path = path(of: digest, in: folder)
            #expect(FileManager.default.createFile(atPath: path, contents: damaged))
            var count = 0
            await #expect(throws: BlobStoreError.damaged(path)) {
                for try await chunk in try await store.open(digest) { count += chunk.count }
            }
            #expect(count > 0)
            #expect(count < 600_000)
            try await store.store(data)
            #expect(try await store.read(digest) == data)
        }
    }

    @Test("a link in the place of a blob is not followed")
    func link() async throws {
        try await TemporaryFolder.lend { folder in
            let store = try FolderBlobStore(folder: folder)
            let digest = try await store.store(Data("a".utf8)).digest
            let path = path(of: digest, in: folder)
            try FileManager.default.moveItem(atPath: path, toPath: folder + "/elsewhere")
            try FileManager.default.createSymbolicLink(
                atPath: path,
                withDestinationPath: folder + "/elsewhere"
            )
            #expect(try await !store.contains(digest))
            await #expect(throws: BlobStoreError.self) { try await store.read(digest) }
            for try await entry in store.entries() { Issue.record("listed \(entry)") }
        }
    }

    @Test("what is no blob is not listed")
    func strangers() async throws {
        try await TemporaryFolder.lend { folder in
            let store = try FolderBlobStore(folder: folder)
            let digest = try await store.store(Data("a".utf8)).digest
            let parent = String(path(of: digest, in: folder).dropLast(65))
            for name in ["note.txt", BlobDigest(ofText: "elsewhere").rawValue] {
                #expect(
                    FileManager.default.createFile(atPath: "\(parent)/\(name)", contents: Data())
                )
            }
            var found: [BlobDigest] = []
            for try await entry in store.entries() { found.append(entry.digest) }
            #expect(found == [digest])
        }
    }

    @Test("free space is a part of the whole")
    func space() async throws {
        try await TemporaryFolder.lend { folder in
            let space = try #require(await FolderBlobStore(folder: folder).freeSpace())
            #expect(space.total > 0)
            #expect((0...space.total).contains(space.available))
            #expect((0...1).contains(space.fraction))
        }
        #expect(FreeSpace(available: 1, total: 4).fraction == 0.25)
    }

    @Test("a store where a file stands names it")
    func notAFolder() async throws {
        try await TemporaryFolder.lend { folder in
            #expect(FileManager.default.createFile(atPath: folder, contents: Data()))
            let error = #expect(throws: BlobStoreError.self) {
                try FolderBlobStore(folder: folder)
            }
            #expect(error?.description.contains(folder) == true)
        }
    }
}
