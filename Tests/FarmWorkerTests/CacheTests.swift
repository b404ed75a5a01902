import Diffusion
import FarmClient
import FarmModel
import FoundationEssentials
import Glibc
import HTTPTransport
import Imaging
import Logging
import Synchronization
import Testing

@testable import FarmWorker

@Suite(.timeLimit(.minutes(1))) struct CacheTests {
    @Test("a full cache lets go what was not used for longest, and keeps what is pinned")
    func eviction() async throws {
        try await Bench.withFolder { folder in
            let cache = FileCache(folder: folder, limit: 300)
            for name in ["a", "b", "c"] { try await cache.keep(Data(count: 100), as: name) }
            await cache.pin(["b"])
            #expect(await cache.path(of: "a") != nil)
            try await cache.keep(Data(count: 150), as: "d")
            #expect(await cache.path(of: "c") == nil)
            #expect(await cache.path(of: "a") == nil)
            #expect(await cache.path(of: "b") != nil)
            #expect(await cache.path(of: "d") != nil)
            await cache.unpin(["b"])
            try await cache.keep(Data(count: 200), as: "e")
            #expect(await cache.path(of: "b") == nil)
            #expect(await cache.bytes <= 300)
        }
    }

    @Test("a new process finds the files of the one before, and counts them")
    func reopening() async throws {
        try await Bench.withFolder { folder in
            try await FileCache(folder: folder, limit: 300).keep(Data("x".utf8), as: "a")
            let cache = FileCache(folder: folder, limit: 300)
            #expect(await cache.data(of: "a") == Data("x".utf8))
            #expect(await cache.bytes == 1)
            unlink(folder + "/a")
            #expect(await cache.data(of: "a") == nil)
            #expect(await cache.bytes == 0)
        }
    }

    @Test("a reference that was damaged on disk is fetched again")
    func damagedReference() async throws {
        let farm = FakeCoordinator()
        let data = Data("a reference".utf8)
        let digest = farm.store(data)
        let condition = ConditionSpecification(image: "r.png", sha256: digest, task: .ip, slot: 1)
        try await Bench.withFolder { folder in
            let cache = ReferenceCache(
                files: FileCache(folder: folder, limit: 1000),
                calls: farm
            )
            let path = try #require(await cache.paths(of: [condition]).first)
            #expect(try await cache.paths(of: [condition]) == [path])
            #expect(farm.journal.all.count == 1)
            _ = FileManager.default.createFile(atPath: path, contents: Data("damaged".utf8))
            #expect(try await cache.paths(of: [condition]) == [path])
            #expect(FileManager.default.contents(atPath: path) == data)
            #expect(farm.journal.all.count == 2)
        }
    }

    @Test("pictures stay in memory up to a bound, and on disk beyond it")
    func spool() async throws {
        try await Bench.withFolder { folder in
            let spool = PictureSpool(folder: folder, memoryLimit: 10, logger: .quiet)
            let first = spool.keep(Data("12345678".utf8))
            let second = spool.keep(Data("abcdefgh".utf8))
            #expect(try spool.bytes(of: first) == Data("12345678".utf8))
            #expect(try spool.bytes(of: second) == Data("abcdefgh".utf8))
            let names = try FileManager.default.contentsOfDirectory(atPath: folder)
            #expect(names.count == 1)
            spool.forget(second)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
            spool.forget(first)
            guard case .memory = spool.keep(Data("12345678".utf8)) else {
                Issue.record("the memory of a forgotten picture is free again")
                return
            }
        }
    }

    @Test("a wait that is cancelled ends, whether it has begun or not")
    func cancelledWait() async throws {
        let value = Watched(0)
        let begun = Task { try await value.wait { $0 > 0 ? $0 : nil } }
        begun.cancel()
        await #expect(throws: CancellationError.self) { try await begun.value }
        value.update { $0 = 1 }
        #expect(try await value.wait { $0 > 0 ? $0 : nil } == 1)
    }

    @Test("one change lets a chain of waits go on")
    func chain() async throws {
        let value = Watched(0)
        async let second = value.wait { value -> Int? in
            guard value == 2 else { return nil }
            value = 3
            return value
        }
        async let first = value.wait { value -> Int? in
            guard value == 1 else { return nil }
            value = 2
            return value
        }
        value.update { $0 = 1 }
        #expect(try await first == 2)
        #expect(try await second == 3)
    }

    @Test(
        "the engine's failures have the class that says what the farm does about them",
        arguments: [
            (RenderError.notFinite as any Error & Sendable, FailureClass.deterministic),
            (
                RenderError.outOfMemory(what: "a picture", needed: 2, available: 1), .resource
            ),
            (AtomicFileError.diskFull(path: "/data/x"), .resource),
            (ModelError.contradiction(file: "a", problem: "b"), .workersFault),
            (CheckpointError.damaged, .transient),
        ]
    )
    func engineFailures(_ error: any Error & Sendable, _ failureClass: FailureClass) throws {
        let failure = try #require(RenderFailure.describing(engine: error) as? RenderFailure)
        #expect(failure.failureClass == failureClass)
    }

    @Test(
        "failures are told apart by what a person can do about them",
        arguments: [
            (
                HTTPTransportError.file(
                    path: "/data/x",
                    reason: "cannot be written: \(String(cString: strerror(ENOSPC)))"
                ) as any Error & Sendable,
                FailureClass.resource, "disk is full"
            ),
            (AtomicFileError.diskFull(path: "/data/x"), .resource, "disk is full"),
            (
                HTTPTransportError.file(path: "/data/x", reason: "cannot be written: no"),
                .workersFault, "--data-dir"
            ),
            (FarmClientError.unknown, .transient, "not in the blob store"),
            (FarmClientError.away, .transient, "refused"),
            (RenderFailure(.resource, "no memory"), .resource, "no memory"),
            (CancellationError(), .transient, "failed"),
        ]
    )
    func failures(
        _ error: any Error & Sendable,
        _ failureClass: FailureClass,
        _ words: String
    ) {
        let failure = RenderFailure(describing: error)
        #expect(failure.failureClass == failureClass)
        #expect(failure.message.contains(words))
    }
}
