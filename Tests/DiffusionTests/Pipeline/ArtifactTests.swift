import GoldenSupport
import Imaging
import Tensors
import Testing

@testable import Diffusion

/// Conditions that are computed once, addressed by what determines them, and taken over.
@Suite
struct ArtifactTests {
    private let golden = Golden.all[0]

    /// The task with a second prompt under true CFG: two prompts and two references.
    private func request() throws -> RenderRequest {
        var request = try golden.request()
        request.trueCFG = TrueCFG(scale: 2, start: 0, end: 2)
        request.negativePrompt = "dark"
        return request
    }

    // MARK: - Keys

    @Test("a picture has a key for each prompt and each reference, each once")
    func keys() async throws {
        let plan = try await golden.pipeline().conditionPlan
        var request = try request()
        let keys = plan.keys(for: request)
        #expect(keys.map(\.kind) == [.prompt, .prompt, .reference, .reference])
        #expect(Set(keys).count == 4)
        #expect(keys.allSatisfy { $0.description.utf8.count == 64 })
        request.trueCFG = TrueCFG()
        #expect(plan.keys(for: request) == [keys[0]] + keys[2...])
        request.conditions.append(request.conditions[0])
        #expect(plan.keys(for: request) == [keys[0]] + keys[2...])
    }

    @Test("what does not change conditions does not change their keys")
    func sameKeys() async throws {
        let plan = try await golden.pipeline().conditionPlan
        let base = try request()
        let changes: [(inout RenderRequest) -> Void] = [
            { $0.seed = 99 }, { $0.steps = 7 }, { $0.guidance = 9 }, { $0.width += 16 },
            { $0.posterior = .sample }, { $0.noise = .bfloat16 },
            { $0.conditions[0].digest = "another file of the same pixels" },
            { $0.conditions[0].name = "another name" }, { $0.conditions[0].task = .style },
            { $0.conditions[0].slot = 9 },
        ]
        for change in changes {
            var request = base
            change(&request)
            #expect(plan.keys(for: request) == plan.keys(for: base))
        }
    }

    @Test("what changes a condition changes its key alone")
    func otherKeys() async throws {
        let plan = try await golden.pipeline().conditionPlan
        let base = try request()
        let keys = plan.keys(for: base)
        func changed(_ change: (inout RenderRequest) -> Void) -> [Bool] {
            var request = base
            change(&request)
            return zip(plan.keys(for: request), keys).map { $0 != $1 }
        }
        #expect(changed { $0.prompt += "!" } == [true, false, false, false])
        #expect(changed { $0.negativePrompt += "!" } == [false, true, false, false])
        #expect(changed { $0.maxTextTokens = 20 } == [true, true, false, false])
        let image = base.conditions[1].image
        var pixels = image.pixels
        pixels[17] ^= 1
        #expect(
            changed {
                $0.conditions[1].image = PixelImage(
                    width: image.width,
                    height: image.height,
                    pixels: pixels
                )
            } == [false, false, false, true]
        )
        #expect(
            changed {
                $0.conditions[1].image = PixelImage(
                    width: image.height,
                    height: image.width,
                    pixels: image.pixels
                )
            } == [false, false, false, image.width != image.height]
        )
        #expect(
            changed {
                $0.prepare = .resize
                $0.refRes = 80
            } == [false, false, true, true]
        )
    }

    @Test("a key follows the part that computes the condition, not the rest of the model")
    func parts() async throws {
        let directory = try ModelDirectory(path: golden.model)
        let record = try await directory.baseDigest().record.split(separator: " ").map(String.init)
        #expect(record.count == 4 && Set(record).count == 4)
        let request = try request()
        func keys(changing index: Int?, adapters: AdapterSelection.Choice) throws -> [ArtifactKey] {
            var record = record
            if let index { record[index] = String(repeating: "0", count: 64) }
            return try RenderPipeline(
                model: directory,
                digest: try #require(ModelDigest(record: record.joined(separator: " "))),
                selection: AdapterSelection(dreamO: adapters),
                compute: Compute(threads: 1)
            ).conditionPlan.keys(for: request)
        }
        let base = try keys(changing: nil, adapters: .available)
        #expect(try keys(changing: 0, adapters: .available) == base)
        for (index, expected) in [
            (1, [true, true, false, false]), (2, [true, true, false, false]),
            (3, [false, false, true, true]),
        ] {
            let other = try keys(changing: index, adapters: .available)
            #expect(zip(other, base).map { $0 != $1 } == expected)
        }
        let plain = try keys(changing: nil, adapters: .none)
        #expect(zip(plain, base).map { $0 != $1 } == [true, true, false, false])
    }

    @Test("a digest that is written down has its parts back, and an old one is none")
    func records() async throws {
        let digest = try await ModelDirectory(path: golden.model).baseDigest()
        #expect(ModelDigest(record: digest.record) == digest)
        #expect(ModelDigest(record: digest.description) == nil)
        #expect(ModelDigest(record: digest.record.replacing("a", with: "x")) == nil)
    }

    // MARK: - Use

    @Test("conditions are computed once, and a second request finds them")
    func counters() async throws {
        let pipeline = try await golden.pipeline()
        var request = try request()
        let keys = pipeline.conditionPlan.keys(for: request)
        #expect(keys.allSatisfy { !pipeline.artifacts.holds($0) })
        #expect(try pipeline.encodeConditions(of: [request]) == keys)
        #expect(keys.allSatisfy(pipeline.artifacts.holds))
        #expect(pipeline.artifacts.tally.computed == 4)
        request.seed += 1
        #expect(try pipeline.encodeConditions(of: [request]) == [])
        _ = try pipeline.render(request)
        let tally = pipeline.artifacts.tally
        #expect(tally.computed == 4 && tally.found == 8 && tally.evicted == 0)
    }

    @Test("artifacts from elsewhere give the same bytes, and no encoder is read")
    func adoption() async throws {
        let request = try request()
        let source = try await golden.pipeline()
        let expected = try source.render(request)
        let pipeline = try await golden.pipeline(in: Compute(threads: 1))
        var notes: [String] = []
        pipeline.log = { notes.append($0) }
        for key in pipeline.conditionPlan.keys(for: request) {
            let bytes = try #require(try source.artifacts.bytes(of: key))
            #expect(pipeline.adopt(bytes, as: key))
            #expect(try pipeline.artifacts.bytes(of: key) == bytes)
        }
        #expect(try pipeline.render(request).png == expected.png)
        let tally = pipeline.artifacts.tally
        #expect(tally.computed == 0 && tally.found == 4 && tally.adopted == 4)
        #expect(tally.bytes == source.artifacts.tally.bytes && tally.bytes > 0)
        #expect(notes == ["reading the transformer"])
    }

    @Test("a damaged artifact is ignored with a note, and computed anew")
    func damage() async throws {
        let request = try request()
        let source = try await golden.pipeline()
        let expected = try source.render(request)
        let pipeline = try await golden.pipeline()
        var notes: [String] = []
        pipeline.log = { notes.append($0) }
        var refused = 0
        for key in pipeline.conditionPlan.keys(for: request) {
            let bytes = try #require(try source.artifacts.bytes(of: key))
            for index in stride(from: 0, to: bytes.count, by: bytes.count / 150) {
                var damaged = bytes
                damaged[index] ^= 0x10
                #expect(!pipeline.adopt(damaged, as: key), "byte \(index)")
                #expect(!pipeline.adopt(Array(bytes[..<index]), as: key))
                refused += 2
            }
            #expect(!pipeline.artifacts.holds(key))
        }
        #expect(pipeline.artifacts.tally.refused == refused && notes.count == refused)
        #expect(notes.allSatisfy { $0.hasSuffix("; the condition is computed anew") })
        #expect(try pipeline.render(request).png == expected.png)
        #expect(pipeline.artifacts.tally.computed == 4)
    }

    @Test("what is another artifact, or none, is named")
    func refusals() async throws {
        let request = try request()
        let pipeline = try await golden.pipeline()
        let keys = try pipeline.encodeConditions(of: [request])
        let bytes = try #require(try pipeline.artifacts.bytes(of: keys[0]))
        let cache = ArtifactCache()
        #expect(throws: ArtifactError.otherKey(key: keys[1])) {
            try cache.adopt(bytes, as: keys[1])
        }
        #expect(throws: ArtifactError.notAnArtifact(key: keys[0])) {
            try cache.adopt([1, 2, 3], as: keys[0])
        }
        #expect(throws: ArtifactError.truncated(key: keys[0])) {
            try cache.adopt(Array(bytes.dropLast()), as: keys[0])
        }
        var damaged = bytes
        damaged[bytes.count - 40] ^= 1
        #expect(throws: ArtifactError.damaged(key: keys[0])) {
            try cache.adopt(damaged, as: keys[0])
        }
        #expect(cache.tally == ArtifactTally(refused: 4))
    }

    @Test("an artifact that does not fit the model is dropped when it is needed")
    func shapes() async throws {
        let request = try request()
        let expected = try await golden.pipeline().render(request)
        let pipeline = try await golden.pipeline()
        var notes: [String] = []
        pipeline.log = { notes.append($0) }
        let keys = pipeline.conditionPlan.keys(for: request)
        for key in keys {
            let sealed = SealedTensors(
                kind: "artifact",
                fields: ["key": key.digest, "condition": key.kind.rawValue],
                tensors: [
                    key.kind.names[0]: Tensor(rows: 3, columns: 5),
                    key.kind.names[1]: Tensor(rows: 1, columns: 5),
                ]
            )
            #expect(pipeline.adopt(try sealed.bytes(), as: key))
        }
        #expect(try pipeline.render(request).png == expected.png)
        #expect(notes.count { $0.contains("another shape") } == keys.count)
        #expect(pipeline.artifacts.tally.computed == keys.count)
    }

    // MARK: - The bound

    @Test("what was used longest ago goes first when the bound is reached")
    func bound() async throws {
        let pipeline = try await golden.pipeline()
        let request = try request()
        let keys = try pipeline.encodeConditions(of: [request])
        let cache = pipeline.artifacts
        let whole = cache.tally.bytes
        var textOnly = request
        textOnly.conditions = []
        textOnly.prompt = "the rain"
        // the first prompt is now the one used longest ago, the references were used later
        textOnly.negativePrompt = request.negativePrompt
        cache.limit = whole
        let added = try pipeline.encodeConditions(of: [textOnly])
        #expect(added.count == 1 && cache.holds(added[0]))
        #expect(!cache.holds(keys[0]) && cache.holds(keys[1]))
        #expect(cache.tally.evicted >= 1 && cache.tally.bytes <= whole)
        let small = try #require(keys.last)
        let held = try #require(try cache.bytes(of: small))
        let large = try #require(try cache.bytes(of: added[0]))
        cache.limit = 0
        #expect(cache.tally.bytes == 0 && (keys + added).allSatisfy { !cache.holds($0) })
        // what is larger than the bound drives nothing out
        cache.limit = min(held.count, large.count)
        let (first, second) = held.count < large.count ? (small, added[0]) : (added[0], small)
        try cache.adopt(held.count < large.count ? held : large, as: first)
        try cache.adopt(held.count < large.count ? large : held, as: second)
        #expect(cache.holds(first) && !cache.holds(second))
    }

    @Test("a picture whose conditions do not fit has the same bytes")
    func nothingHeld() async throws {
        let request = try request()
        let expected = try await golden.pipeline().render(request)
        let pipeline = try await golden.pipeline()
        pipeline.artifacts.limit = 0
        for round in 1...2 {
            #expect(try pipeline.render(request).png == expected.png)
            #expect(pipeline.artifacts.tally.computed == 4 * round)
        }
        #expect(pipeline.artifacts.tally.bytes == 0)
    }
}
