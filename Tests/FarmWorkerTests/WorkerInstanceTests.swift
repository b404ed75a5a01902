import FarmClient
import FarmModel
import FarmWorker
import FoundationEssentials
import Testing

@Suite(.timeLimit(.minutes(1))) struct WorkerInstanceTests {
    /// Takes an instance that is free, or will be: a process that another test starts holds a
    /// copy of an open file for a moment.
    private func take(_ name: String, in folder: String) async throws -> WorkerInstance {
        try await .take(name, in: folder, patience: .seconds(20))
    }

    @Test("a process that is started again is the same, beside a living one it is another")
    func slots() async throws {
        try await Bench.withFolder { folder in
            var first: WorkerInstance? = try await take("w", in: folder)
            var second: WorkerInstance? = try await .take("w", in: folder, patience: .zero)
            let ids = [try #require(first).id, try #require(second).id]
            #expect(ids[0] != ids[1])
            #expect(UUID(uuidString: ids[0]) != nil)
            // Each comes back as itself, whichever is started first.
            second = nil
            let third = try await take("w", in: folder)
            #expect(third.id == ids[1])
            first = nil
            #expect(try await take("w", in: folder).id == ids[0])
            withExtendedLifetime(third) {}
        }
    }

    @Test("another name, another folder, and a process that keeps nothing are others")
    func others() async throws {
        try await Bench.withFolder { folder in
            let instances = [
                try await take("w", in: folder),
                try await take("../w", in: folder),
                try await take(String(repeating: "w", count: 5000), in: folder),
                try await take("w", in: folder + "/other"),
                .random(), .random(),
            ]
            #expect(Set(instances.map(\.id)).count == instances.count)
        }
    }

    @Test(
        "a file that was cut short gets a new instance, and keeps that",
        arguments: ["", "8F2A", "x"]
    )
    func damaged(_ content: String) async throws {
        try await Bench.withFolder { folder in
            let old = try await take("w", in: folder).id
            let files = folder + "/instances"
            let name = try #require(FileManager.default.contentsOfDirectory(atPath: files).first)
            #expect(
                FileManager.default.createFile(
                    atPath: files + "/" + name,
                    contents: Data(content.utf8)
                )
            )
            let new = try await take("w", in: folder).id
            #expect(new != old)
            #expect(try await take("w", in: folder).id == new)
        }
    }

    @Test("a folder that cannot be made is named with the remedy")
    func refused() async throws {
        try await Bench.withFolder { folder in
            try FileManager.default.createDirectory(
                atPath: folder,
                withIntermediateDirectories: true
            )
            let file = folder + "/file"
            #expect(FileManager.default.createFile(atPath: file, contents: nil))
            let error = await #expect(throws: WorkerInstanceError.self) {
                _ = try await take("w", in: file)
            }
            #expect(error?.path == file + "/instances")
            #expect("\(try #require(error))".contains("--data-dir"))
        }
    }

    @Test("a worker whose place was taken comes back as another one")
    func superseded() async throws {
        let farm = FakeCoordinator()
        var kept = ""
        try await Bench.run(farm: farm, configure: { kept = $0.instance.id }) { bench in
            farm.refuse("heartbeat", [.refused(ProblemDetails(.notFound))])
            try await bench.clock.pass(.seconds(FakeCoordinator.heartbeatSeconds))
            try await bench.journal.wait(for: "register", count: 2)
        }
        let instances = farm.registrations.map(\.instance)
        #expect(instances.count == 2)
        #expect(instances.first == kept)
        #expect(instances.last != kept)
    }
}
