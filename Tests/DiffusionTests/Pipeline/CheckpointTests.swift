import GoldenSupport
import Imaging
import Tensors
import Testing

@testable import Diffusion

/// Renders that go on from a checkpoint, and checkpoints that are refused.
@Suite
struct CheckpointTests {
    /// A task and one change of it that makes a step depend on more than the latents.
    struct Variant: Sendable, CustomTestStringConvertible {
        let golden: Golden
        let name: String
        let change: @Sendable (inout RenderRequest) -> Void

        var testDescription: String { "\(golden.name), \(name)" }

        static let all = Golden.all.flatMap { golden in
            changes.map { Variant(golden: golden, name: $0.0, change: $0.1) }
        }

        private static let changes: [(String, @Sendable (inout RenderRequest) -> Void)] = [
            ("as it is", { _ in }),
            (
                "a window of true CFG in the middle",
                {
                    $0.steps = 4
                    $0.trueCFG = TrueCFG(scale: 2.5, start: 1, end: 3, guidance: 2)
                    $0.negativePrompt = "dark"
                }
            ),
            (
                "another guidance in the first step",
                {
                    $0.steps = 3
                    $0.firstStepGuidance = 7
                }
            ),
            ("a sampled posterior", { $0.posterior = .sample }),
            ("noise in bfloat16", { $0.noise = .bfloat16 }),
            ("one step", { $0.steps = 1 }),
            (
                "steps from the cache in both branches",
                {
                    $0.steps = 8
                    $0.stepCache = 0.6
                    $0.trueCFG = TrueCFG(scale: 2.5, start: 1, end: 6, guidance: 2)
                }
            ),
        ]

        func request() throws -> RenderRequest {
            var request = try golden.request()
            change(&request)
            try request.validate()
            return request
        }
    }

    /// A finished render with its dump and its checkpoints.
    private struct Run {
        var picture: RenderedPicture
        var dump: SafetensorsFile
        var checkpoints: [[UInt8]]
    }

    private func run(
        _ request: RenderRequest,
        in pipeline: RenderPipeline,
        resuming checkpoint: RenderCheckpoint? = nil
    ) throws -> Run {
        let folder = try GoldenFolder()
        let dump = IntermediateDump()
        var checkpoints: [[UInt8]] = []
        let picture = try pipeline.render(request, resuming: checkpoint, dump: dump) { step in
            checkpoints.append(try step.checkpoint().bytes())
        }
        try dump.write(to: "\(folder.path)/dump.safetensors")
        return Run(
            picture: picture,
            dump: try SafetensorsFile(path: "\(folder.path)/dump.safetensors"),
            checkpoints: checkpoints
        )
    }

    @Test("a resumed render gives the uninterrupted one's bytes", arguments: Variant.all)
    func resuming(_ variant: Variant) async throws {
        let request = try variant.request()
        let whole = try run(request, in: try await variant.golden.pipeline())
        #expect(whole.picture.computedSteps == request.steps)
        #expect(whole.checkpoints.count == request.steps)
        let elsewhere = try await variant.golden.pipeline(in: Compute(threads: 1))
        for (index, bytes) in whole.checkpoints.enumerated() {
            let checkpoint = try RenderCheckpoint(bytes: bytes)
            #expect(checkpoint.step == index + 1 && checkpoint.steps == request.steps)
            #expect(try checkpoint.bytes() == bytes)
            let before = elsewhere.tally
            let resumed = try run(request, in: elsewhere, resuming: checkpoint)
            let left = request.steps - checkpoint.step
            #expect(resumed.picture.png == whole.picture.png)
            #expect(resumed.picture.computedSteps == left)
            #expect(elsewhere.tally.steps - before.steps == left)
            #expect(resumed.checkpoints == Array(whole.checkpoints[(index + 1)...]))

            let done = (0...index).flatMap { ["pred_step\($0)", "latent_step\($0)"] }
            let names = whole.dump.names.filter {
                !done.contains($0) && !$0.hasPrefix("after_") && $0 != "temb_step0"
            }
            #expect(resumed.dump.names == names)
            for name in names {
                let expected = try whole.dump.values(of: name).map(\.bitPattern)
                #expect(try resumed.dump.values(of: name).map(\.bitPattern) == expected, "\(name)")
            }
        }
    }

    @Test("a chain of resumed renders computes each step once")
    func chain() async throws {
        struct Stop: Error {}
        let golden = Golden.all[0]
        var request = try golden.request()
        request.steps = 5
        let expected = try await golden.pipeline().render(request).png
        var checkpoint: RenderCheckpoint?
        for step in 1...5 {
            let pipeline = try await golden.pipeline()
            #expect(throws: Stop.self) {
                try pipeline.render(request, resuming: checkpoint) { progress in
                    #expect(progress.step == step)
                    checkpoint = progress.checkpoint()
                    throw Stop()
                }
            }
            #expect(pipeline.tally == RenderTally(steps: 1, decodings: 0))
        }
        let last = try await golden.pipeline()
        #expect(try last.render(request, resuming: checkpoint).png == expected)
        #expect(last.tally == RenderTally(steps: 0, decodings: 1))
    }

    @Test("a checkpoint has the latents' bytes and less than 2 KiB more")
    func size() throws {
        let fingerprint = RenderFingerprint(
            model: String(repeating: "a", count: 64),
            numericClass: "1/x86-64-v4+openblas-SapphireRapids/float32",
            request: String(repeating: "b", count: 64),
            schedule: String(repeating: "c", count: 64),
            conditions: String(repeating: "d", count: 64)
        )
        let latents = Tensor(rows: 4096, columns: 64)
        let bytes = try RenderCheckpoint(
            step: 999,
            steps: 1000,
            fingerprint: fingerprint,
            latents: latents
        ).bytes()
        #expect((4 * 4096 * 64...4 * 4096 * 64 + 2048).contains(bytes.count))
    }

    // MARK: - Refusals

    private func checkpoint(_ request: RenderRequest) async throws -> RenderCheckpoint {
        var checkpoints: [RenderCheckpoint] = []
        _ = try await Golden.all[0].pipeline().render(request) { step in
            checkpoints.append(step.checkpoint())
        }
        return try #require(checkpoints.first)
    }

    private func error(_ bytes: [UInt8]) -> CheckpointError? {
        do {
            _ = try RenderCheckpoint(bytes: bytes)
            return nil
        } catch {
            return error
        }
    }

    @Test("bytes with one changed bit, or cut anywhere, are refused")
    func damage() async throws {
        let bytes = try await checkpoint(Golden.all[0].request()).bytes()
        #expect(error(bytes) == nil)
        for index in bytes.indices {
            var damaged = bytes
            damaged[index] ^= 1 << (index % 8)
            #expect(error(damaged) != nil, "byte \(index)")
        }
        var value = bytes
        value[bytes.count - 100] ^= 1
        #expect(error(value) == .damaged)
        for count in stride(from: 0, to: bytes.count, by: 7) {
            #expect(error(Array(bytes[..<count])) == .truncated, "\(count) bytes")
        }
        #expect(error(bytes + [0]) == .damaged)
        let other = Array("dreamfarm-sealed/2\n".utf8) + bytes.dropFirst(19)
        #expect(error(other) == .version("2"))
    }

    @Test(
        "a header that promises the impossible is refused",
        arguments: [
            ("[{\"columns\":1,\"name\":\"latents\",\"rows\":-1}]", CheckpointError.damaged),
            ("[{\"columns\":-4,\"name\":\"latents\",\"rows\":0}]", .damaged),
            ("[{\"columns\":1099511627777,\"name\":\"latents\",\"rows\":1}]", .damaged),
            ("[{\"columns\":4294967296,\"name\":\"a\",\"rows\":4294967296}]", .damaged),
            ("[{\"columns\":1099511627776,\"name\":\"a\",\"rows\":1}]", .truncated),
            ("[{\"columns\":1,\"name\":\"latents\"}]", .damaged),
            ("[]", .damaged),
        ]
    )
    func forged(_ tensors: String, _ expected: CheckpointError) {
        let header = Array("{\"fields\":{},\"kind\":\"checkpoint\",\"tensors\":\(tensors)}".utf8)
        let bytes =
            Array("dreamfarm-sealed/1\n".utf8) + [UInt8(header.count), 0, 0, 0] + header
            + [UInt8](repeating: 0, count: 32)
        #expect(error(bytes) == expected)
        let long = Array("dreamfarm-sealed/1\n".utf8) + [255, 255, 255, 255] + header
        #expect(error(long) == .truncated)
    }

    @Test("what is no checkpoint is refused as such")
    func otherBytes() async throws {
        let golden = Golden.all[0]
        let pipeline = try await golden.pipeline()
        let request = try golden.request()
        #expect(error(try pipeline.render(request).png) == .notACheckpoint)
        for key in pipeline.conditionPlan.keys(for: request) {
            #expect(error(try #require(try pipeline.artifacts.bytes(of: key))) == .notACheckpoint)
        }
        #expect(error(Array("dreamfarm".utf8)) == .truncated)
    }

    @Test("a checkpoint of another picture is refused, whatever differs")
    func otherRequests() async throws {
        let golden = Golden.all[0]
        let base = try golden.request()
        let checkpoint = try await checkpoint(base)
        let pipeline = try await golden.pipeline()
        let changes: [(inout RenderRequest) -> Void] = [
            { $0.prompt += "!" }, { $0.seed += 1 }, { $0.guidance += 1 }, { $0.steps += 1 },
            { $0.firstStepGuidance = 9 }, { $0.posterior = .sample }, { $0.noise = .bfloat16 },
            { $0.conditions.reverse() }, { $0.conditions[0].task = .style },
            { $0.trueCFG.scale += 1 }, { $0.trueCFG.end += 1 }, { $0.negativePrompt += "!" },
            { ($0.width, $0.height) = ($0.height, $0.width) }, { $0.maxTextTokens = 20 },
        ]
        for change in changes {
            var request = base
            change(&request)
            #expect(throws: CheckpointError.mismatch(.request)) {
                try pipeline.render(request, resuming: checkpoint)
            }
        }
        #expect(pipeline.tally == RenderTally())
        #expect(pipeline.artifacts.tally == ArtifactTally(), "refused before anything is computed")
    }

    @Test("a checkpoint of other adapters is refused as of another model")
    func otherModel() async throws {
        let golden = Golden.all[0]
        let request = try golden.request()
        let checkpoint = try await checkpoint(request)
        let directory = try ModelDirectory(path: golden.model)
        let plain = try RenderPipeline(
            model: directory,
            digest: try await directory.baseDigest(),
            selection: AdapterSelection(dreamO: .none),
            compute: Compute(threads: 1)
        )
        #expect(throws: CheckpointError.mismatch(.model)) {
            try plain.render(request, resuming: checkpoint)
        }
    }

    @Test("each part that differs is named", arguments: CheckpointPart.allCases)
    func parts(_ part: CheckpointPart) async throws {
        let golden = Golden.all[0]
        let request = try golden.request()
        let good = try await checkpoint(request)
        let print = good.fingerprint
        func other(_ candidate: CheckpointPart, _ text: String) -> String {
            candidate == part ? "other" : text
        }
        let changed = RenderCheckpoint(
            step: 1,
            steps: good.steps,
            fingerprint: RenderFingerprint(
                model: other(.model, print.model),
                numericClass: other(.numericClass, print.numericClass),
                request: other(.request, print.request),
                schedule: other(.schedule, print.schedule),
                conditions: other(.conditions, print.conditions)
            ),
            latents: part == .latents ? Tensor(rows: 1, columns: 64) : good.latents
        )
        let pipeline = try await golden.pipeline()
        let opened = try RenderCheckpoint(bytes: changed.bytes())
        #expect(throws: CheckpointError.mismatch(part)) {
            try pipeline.render(request, resuming: opened)
        }
        let texts = CheckpointPart.allCases.map { CheckpointError.mismatch($0).description }
        #expect(Set(texts).count == texts.count)
        #expect(texts.allSatisfy { $0.hasSuffix("render from the first step") })
    }

    @Test("a step that the render does not have is refused", arguments: [-1, 0, 4])
    func steps(_ step: Int) async throws {
        let golden = Golden.all[0]
        let request = try golden.request()
        #expect(request.steps == 3)
        let good = try await checkpoint(request)
        let changed = RenderCheckpoint(
            step: step,
            steps: 3,
            fingerprint: good.fingerprint,
            latents: good.latents
        )
        let pipeline = try await golden.pipeline()
        #expect(throws: CheckpointError.step(step, of: 3)) {
            try pipeline.render(request, resuming: try RenderCheckpoint(bytes: changed.bytes()))
        }
    }
}
