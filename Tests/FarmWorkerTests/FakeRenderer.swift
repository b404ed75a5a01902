import FarmModel
import FarmWorker
import FoundationEssentials
import Synchronization

/// A renderer whose pictures are text that says what they were made from.
final class FakeRenderer: ImageRenderer {
    let model = RendererModel(
        name: "fake",
        digest: "fake-digest",
        precision: "float32",
        defaults: ModelDefaults(width: 64, height: 64, refRes: 64, steps: 3, guidance: 3.5)
    )
    /// What each prompt fails with.
    private let failures: [String: RenderFailure]
    /// The prompts that render until they are stopped.
    private let endless: Set<String>
    private let state = Mutex(State())
    private let steps = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingOldest(1))

    private struct State {
        var rendered: [Int] = []
        var stopped = 0
    }

    init(failing failures: [String: RenderFailure] = [:], endless: Set<String> = []) {
        self.failures = failures
        self.endless = endless
    }

    /// The indices that were rendered to the end.
    var rendered: [Int] { state.withLock { $0.rendered } }

    /// How many renderings were stopped at a step.
    var stopped: Int { state.withLock { $0.stopped } }

    /// Waits until a step of some rendering is done.
    func firstStep() async {
        var iterator = steps.stream.makeAsyncIterator()
        await iterator.next()
    }

    static func picture(of settings: RenderSettings, _ references: [Data]) -> Data {
        let digests = references.map { BlobDigest(of: $0).rawValue }
        let words = [settings.prompt, String(settings.seed)] + digests
        return Data(words.joined(separator: " ").utf8)
    }

    func render(
        _ work: RenderWork,
        onEvent: @escaping @Sendable (RenderEvent) throws -> Void
    ) async throws -> RenderedPicture {
        let image = work.image
        if let failure = failures[image.settings.prompt] { throw failure }
        try onEvent(.conditions(computed: [], found: 0))
        let count = endless.contains(image.settings.prompt) ? Int.max : image.settings.steps
        var step = 0
        while step < count {
            step += 1
            do {
                try onEvent(
                    .step(
                        RenderStep(
                            step: step,
                            steps: image.settings.steps,
                            seconds: 0.001,
                            checkpoint: { Data() },
                            draft: {
                                DraftPicture(type: .png, data: Data(image.settings.prompt.utf8))
                            }
                        )
                    )
                )
            } catch {
                state.withLock { $0.stopped += 1 }
                throw error
            }
            steps.continuation.yield()
            // A step takes time; a cancelled sleep ends at once and the next step tells.
            try? await Task.sleep(for: .milliseconds(2))
        }
        try onEvent(.decoding)
        let files = work.references.map { FileManager.default.contents(atPath: $0) ?? Data() }
        state.withLock { $0.rendered.append(image.index) }
        return RenderedPicture(png: Self.picture(of: image.settings, files))
    }
}
