import FarmClient
import FarmModel
import FarmWorker
import FoundationEssentials
import HTTPTransport
import Testing

@Suite struct ModelFetchTests {
    /// A farm with one model.
    private final class Source: ModelSource {
        private let files: Watched<[String: Data]>
        private let sent = Watched<[BlobDigest]>([])
        /// What is answered instead of the model.
        private let refusal: FarmClientError?
        /// What is sent instead of a file's bytes.
        private let wrong: Data?

        init(
            _ files: [String: Data],
            sending wrong: Data? = nil,
            refusing refusal: FarmClientError? = nil
        ) {
            self.files = Watched(files)
            self.wrong = wrong
            self.refusal = refusal
        }

        var count: Int { sent.read { $0.count } }

        func model(_ name: String) async throws -> ModelView {
            if let refusal { throw refusal }
            var model = ModelView(name: name, digest: "digest", isDefault: true)
            model.files = files.read { files in
                files.sorted { $0.key < $1.key }.map { path, data in
                    ModelFileView(
                        path: path,
                        digest: BlobDigest(of: data),
                        size: Int64(data.count)
                    )
                }
            }
            return model
        }

        func resumeBlob(_ digest: BlobDigest, to path: String) async throws {
            sent.update { $0.append(digest) }
            let data = files.read { files in files.values.first { BlobDigest(of: $0) == digest } }
            _ = FileManager.default.createFile(atPath: path, contents: wrong ?? data)
        }
    }

    private static let files = [
        "model_index.json": Data("{}".utf8),
        "transformer/weights.safetensors": Data(repeating: 7, count: 3_000_000),
        "vae/empty": Data(),
    ]

    @Test("a model comes whole, and a second copy sends nothing")
    func whole() async throws {
        try await Bench.withFolder { folder in
            let source = Source(Self.files)
            let fetch = ModelFetch(source: source) { _ in }
            try FileManager.default.createDirectory(
                atPath: folder,
                withIntermediateDirectories: true
            )
            let target = folder + "/model"
            try await fetch.fetch("m", to: target)
            for (path, data) in Self.files {
                #expect(FileManager.default.contents(atPath: "\(target)/\(path)") == data)
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["model"])
            try await fetch.fetch("m", to: target)
            #expect(source.count == 3)
        }
    }

    @Test("an interrupted copy keeps what it has and goes on")
    func resumed() async throws {
        try await Bench.withFolder { folder in
            let source = Source(Self.files)
            let partial = folder + "/model.partial"
            try FileManager.default.createDirectory(
                atPath: partial,
                withIntermediateDirectories: true
            )
            let done = "model_index.json"
            _ = FileManager.default.createFile(
                atPath: "\(partial)/\(done)",
                contents: Self.files[done]
            )
            try await ModelFetch(source: source) { _ in }.fetch("m", to: folder + "/model")
            #expect(source.count == 2)
        }
    }

    @Test("bytes with another digest are refused, and nothing gets the model's name")
    func damaged() async throws {
        try await Bench.withFolder { folder in
            let wrong = Data(repeating: 8, count: 2)
            let source = Source(["a": Data(repeating: 7, count: 2)], sending: wrong)
            await #expect(throws: ModelFetchError.damaged(path: "a")) {
                try await ModelFetch(source: source) { _ in }.fetch("m", to: folder + "/model")
            }
            #expect(!FileManager.default.fileExists(atPath: folder + "/model"))
        }
    }

    @Test(
        "a file outside of the model's folder is refused before anything is copied",
        arguments: ["../x", "/etc/x", "a/../../x", "a//b", ""]
    )
    func outside(_ path: String) async throws {
        try await Bench.withFolder { folder in
            let source = Source([path: Data()])
            await #expect(throws: ModelFetchError.outside(model: "m", path: path)) {
                try await ModelFetch(source: source) { _ in }.fetch("m", to: folder + "/model")
            }
            #expect(source.count == 0)
        }
    }

    @Test("a folder that is something else stays as it is")
    func otherFolder() async throws {
        try await Bench.withFolder { folder in
            try FileManager.default.createDirectory(
                atPath: folder,
                withIntermediateDirectories: true
            )
            await #expect(throws: ModelFetchError.otherFolder(path: folder, model: "m")) {
                try await ModelFetch(source: Source(Self.files)) { _ in }.fetch("m", to: folder)
            }
        }
    }

    @Test("a worker's folder is copied when it is not there, and compared when it is")
    func ensured() async throws {
        try await Bench.withFolder { folder in
            let source = Source(Self.files)
            let fetch = ModelFetch(source: source) { _ in }
            try FileManager.default.createDirectory(
                atPath: folder,
                withIntermediateDirectories: true
            )
            let target = folder + "/m"
            try await fetch.ensure("m", at: target)
            #expect(source.count == 3)
            try await fetch.ensure("m", at: target)
            #expect(source.count == 3)
            // One byte of a file, of the same size.
            var weights = try #require(Self.files["transformer/weights.safetensors"])
            weights[weights.count - 1] = 8
            _ = FileManager.default.createFile(
                atPath: target + "/transformer/weights.safetensors",
                contents: weights
            )
            await #expect(throws: ModelFetchError.otherFolder(path: target, model: "m")) {
                try await fetch.ensure("m", at: target)
            }
            #expect(source.count == 3)
        }
    }

    @Test("a folder that the farm cannot judge is used, and a line says so")
    func unjudged() async throws {
        let away = FarmClientError.unreachable(.file(path: "/socket", reason: "nobody is there"))
        for (refusal, reason) in [
            (nil, "no files of the model 'm'"),
            (FarmClientError.refused(ProblemDetails(.notFound)), "no model 'm'"),
            (away, "nobody is there"),
        ] {
            try await Bench.withFolder { folder in
                try FileManager.default.createDirectory(
                    atPath: folder,
                    withIntermediateDirectories: true
                )
                let lines = Watched<[String]>([])
                let fetch = ModelFetch(source: Source([:], refusing: refusal)) { line in
                    lines.update { $0.append(line) }
                }
                try await fetch.ensure("m", at: folder)
                #expect(lines.read { $0 }.count == 1)
                #expect(lines.read { $0 }.first?.contains(reason) == true)
            }
        }
        let refusal = FarmClientError.refused(ProblemDetails(.forbidden))
        let fetch = ModelFetch(source: Source([:], refusing: refusal)) { _ in }
        await #expect(throws: FarmClientError.self) { try await fetch.ensure("m", at: "/") }
    }

    @Test("a model without files says what to do")
    func noFiles() async throws {
        await #expect(throws: ModelFetchError.noFiles(model: "m")) {
            try await ModelFetch(source: Source([:])) { _ in }.fetch("m", to: "/nowhere")
        }
    }
}
