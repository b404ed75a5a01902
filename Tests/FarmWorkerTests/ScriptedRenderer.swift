import FarmModel
import FarmWorker
import FoundationEssentials
import Synchronization

/// A renderer that takes each step when its test lets it.
final class ScriptedRenderer: ImageRenderer {
    let model: RendererModel
    let journal: Journal
    /// What each prompt fails with.
    private let failures: [String: any Error & Sendable]
    /// How long each step says that it took, in seconds.
    private let stepSeconds: Double
    private let permits = Watched(0)
    private let conditions = Mutex<[ArtifactKey: Data]>([:])

    init(
        journal: Journal,
        failing failures: [String: any Error & Sendable] = [:],
        stepSeconds: Double = 0.01,
        numericClass: String = "class"
    ) {
        self.journal = journal
        self.failures = failures
        self.stepSeconds = stepSeconds
        model = .fake(numericClass: numericClass)
    }

    /// Lets so many more steps be taken.
    func allow(_ steps: Int) {
        permits.update { $0 += steps }
    }

    // MARK: - Conditions

    static func key(of settings: RenderSettings) -> ArtifactKey {
        ArtifactKey(.prompt, determinants: settings.prompt)
    }

    func conditions(
        of image: ImageAssignment,
        references: [String]
    ) async throws -> [ArtifactKey] {
        [Self.key(of: image.settings)]
    }

    func holds(_ condition: ArtifactKey) -> Bool {
        conditions.withLock { $0[condition] != nil }
    }

    func adopt(_ bytes: Data, as condition: ArtifactKey) throws {
        guard bytes == Data(condition.rawValue.utf8) else {
            throw RenderFailure(.transient, "not this condition")
        }
        conditions.withLock { $0[condition] = bytes }
    }

    func bytes(of condition: ArtifactKey) -> Data? {
        conditions.withLock { $0[condition] }
    }

    private func compute(_ key: ArtifactKey) -> Bool {
        guard !holds(key) else { return false }
        conditions.withLock { $0[key] = Data(key.rawValue.utf8) }
        return true
    }

    // MARK: - Rendering

    func render(
        _ work: RenderWork,
        onEvent: @escaping @Sendable (RenderEvent) throws -> Void
    ) async throws -> RenderedPicture {
        let index = work.image.index
        let settings = work.image.settings
        journal.write("render \(index)")
        if let failure = failures[settings.prompt] { throw failure }
        let key = Self.key(of: settings)
        let computed = compute(key)
        try onEvent(.conditions(computed: computed ? [key] : [], found: computed ? 0 : 1))
        let first = work.checkpoint.flatMap { Int(String(decoding: $0, as: UTF8.self)) } ?? 0
        if first > 0 { try onEvent(.resumed(step: first)) }
        for step in (first + 1)...settings.steps {
            try await permits.wait { permits -> Void? in
                guard permits > 0 else { return nil }
                permits -= 1
                return ()
            }
            do {
                try onEvent(
                    .step(
                        RenderStep(
                            step: step,
                            steps: settings.steps,
                            seconds: stepSeconds,
                            checkpoint: { Data(String(step).utf8) },
                            preview: {
                                PicturePreview(mediaType: "image/jpeg", data: Data([UInt8(step)]))
                            },
                            draft: { DraftPicture(type: .jpeg, data: Data("draft \(step)".utf8)) }
                        )
                    )
                )
            } catch {
                journal.write("stop \(index) at \(step)")
                throw error
            }
            journal.write("step \(index) \(step)")
        }
        try onEvent(.decoding)
        journal.write("decode \(index)")
        return RenderedPicture(png: Self.picture(of: work.image))
    }

    static func picture(of image: ImageAssignment) -> Data {
        Data("\(image.settings.prompt) \(image.settings.seed)".utf8)
    }
}

extension RendererModel {
    /// A model that is only a name.
    static func fake(numericClass: String = "class") -> RendererModel {
        RendererModel(
            name: "fake",
            digest: "fake-digest",
            precision: "float32",
            defaults: ModelDefaults(width: 64, height: 64, refRes: 64, steps: 3, guidance: 3.5),
            numericClass: numericClass
        )
    }
}

extension TaskAssignment {
    /// A task of some images, whose prompts and seeds are their indices.
    static func of(
        _ indices: Int...,
        steps: Int = 3,
        prompt: String? = nil,
        references: [BlobDigest] = [],
        checkpoints: [CheckpointOffer] = []
    ) throws -> TaskAssignment {
        var task = TaskAssignment(
            fence: AttemptFence(task: .random(), attempt: .random(), epoch: 1),
            job: .random(),
            leaseSeconds: 60,
            images: try indices.map { index in
                let settings = try RenderSettings.of(
                    prompt: prompt ?? "prompt \(index)",
                    seed: Int64(index),
                    steps: steps,
                    references: references
                )
                return ImageAssignment(id: .random(), index: index, settings: settings)
            }
        )
        task.checkpoints = checkpoints
        return task
    }
}

extension RenderSettings {
    /// Settings with defaults for what a test does not care about.
    static func of(
        prompt: String,
        seed: Int64 = 1,
        steps: Int = 3,
        references: [BlobDigest] = []
    ) throws -> RenderSettings {
        let conditions = references.enumerated().map { index, digest in
            """
            {"image": "\(index).png", "sha256": "\(digest)", "task": "ip", "slot": \(index + 1)}
            """
        }
        let text = """
            {"prompt": "\(prompt)", "negativePrompt": "", "seed": \(seed), "width": 64,
             "height": 48, "steps": \(steps), "guidance": 3.5, "firstStepGuidance": 0,
             "trueCfg": {"scale": 1, "start": 0, "end": 0, "guidance": 3.5},
             "prepare": "resize", "refRes": 64, "posterior": "mode", "noise": "float32",
             "references": [\(conditions.joined(separator: ","))], "loras": []}
            """
        return try FarmJSON.decode(RenderSettings.self, from: Data(text.utf8))
    }
}
