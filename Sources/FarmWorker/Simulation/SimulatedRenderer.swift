package import FarmModel
package import FoundationEssentials
import Imaging
import Synchronization

/// A renderer that takes modelled time and makes small pictures, the same for the same image.
///
/// It keeps the whole of a renderer's contract, checkpoints included, and can be told to fail in
/// every way that a machine can.
package final class SimulatedRenderer: ImageRenderer {
    package let model: RendererModel
    package let readsReferences = false
    private let configuration: Configuration
    private let line: SimulatedLine
    private let clock: any Clock<Duration>
    private let renderings = Mutex<[ImageID: Int]>([:])

    /// How it behaves.
    package struct Configuration: Sendable {
        package var model: RendererModel
        /// Floating point operations a second, as warming up says.
        package var speed: Double?
        /// How long an image takes, in seconds; its steps share it.
        package var seconds: @Sendable (ImageAssignment) -> Double
        /// The shortest pause: steps that are shorter are told together.
        package var tick = 0.05
        /// What becomes of an image's rendering; told how often it was begun here before.
        package var fate: @Sendable (ImageAssignment, Int) -> SimulatedFate = { _, _ in .finishes }

        package init(
            model: RendererModel,
            seconds: @escaping @Sendable (ImageAssignment) -> Double
        ) {
            self.model = model
            self.seconds = seconds
        }
    }

    /// - Parameters:
    ///   - configuration: How it behaves.
    ///   - line: The worker's line to the coordinator, which some fates cut.
    ///   - clock: The time that renderings take.
    package init(
        _ configuration: Configuration,
        line: SimulatedLine,
        clock: any Clock<Duration> = ContinuousClock()
    ) {
        self.configuration = configuration
        self.line = line
        self.clock = clock
        model = configuration.model
    }

    package func warmUp() async throws -> Double? { configuration.speed }

    package func render(
        _ work: RenderWork,
        onEvent: @escaping @Sendable (RenderEvent) throws -> Void
    ) async throws -> RenderedPicture {
        let before = renderings.withLock { counts in
            defer { counts[work.image.id, default: 0] += 1 }
            return counts[work.image.id] ?? 0
        }
        let fate = configuration.fate(work.image, before)
        let steps = max(1, work.image.settings.steps)
        let first = work.checkpoint.flatMap { Self.step(of: $0) } ?? 0
        try onEvent(.conditions(computed: [], found: 0))
        if first > 0 { try onEvent(.resumed(step: first)) }
        let stepSeconds = configuration.seconds(work.image) / Double(steps)
        var pending = 0.0
        for step in (first + 1)...max(steps, first + 1) {
            pending += stepSeconds
            if pending >= configuration.tick || step >= steps {
                try await clock.sleep(for: .seconds(pending))
                pending = 0
            }
            if step == max(first + 1, steps / 2) { try await meet(fate) }
            try onEvent(
                .step(
                    RenderStep(
                        step: min(step, steps),
                        steps: steps,
                        seconds: stepSeconds,
                        checkpoint: { Self.checkpoint(step: step) },
                        draft: { [model] in
                            DraftPicture(
                                type: .png,
                                data: try Self.picture(of: work.image, model: model)
                            )
                        }
                    )
                )
            )
        }
        try onEvent(.decoding)
        var image = work.image
        if case .lies(let offset) = fate { image.settings.seed &+= offset }
        return RenderedPicture(png: try Self.picture(of: image, model: model))
    }

    private func meet(_ fate: SimulatedFate) async throws {
        switch fate {
        case .finishes, .lies: break
        case .fails(let failure): throw failure
        case .hangs: try await Watched(()).wait { _ -> Void? in nil }
        case .crashes:
            line.cut()
            throw CancellationError()
        case .lapses(let duration):
            line.hold()
            defer { line.restore() }
            try await clock.sleep(for: duration)
        }
    }

    // MARK: - Bytes

    /// The picture of an image: a small PNG file that differs wherever the settings differ.
    package static func picture(of image: ImageAssignment, model: RendererModel) throws -> Data {
        let cause = "\(model.digest) \(try FarmJSON.text(image.settings))"
        let digest = BlobDigest(ofText: cause).rawValue
        let pixels = Array(digest.utf8) + Array(digest.utf8) + Array(digest.utf8)
        let picture = PixelImage(width: 8, height: 8, pixels: pixels)
        let text = PNGText(keyword: "dreamfarm", text: "simulated \(digest)")
        return Data(try PNGEncoder.encode(picture, texts: [text]))
    }

    private static let checkpointWord = "simulated checkpoint after step "

    private static func checkpoint(step: Int) -> Data {
        Data((checkpointWord + String(step)).utf8)
    }

    private static func step(of checkpoint: Data) -> Int? {
        let text = String(decoding: checkpoint, as: UTF8.self)
        guard text.hasPrefix(checkpointWord) else { return nil }
        return Int(text.dropFirst(checkpointWord.count))
    }
}

/// What becomes of a simulated rendering.
package enum SimulatedFate: Sendable {
    case finishes
    /// It is done, and another picture than was asked for: that of a seed so far away.
    case lies(Int64)
    case fails(RenderFailure)
    /// No step comes any more.
    case hangs
    /// The worker is gone, as after `kill -9`.
    case crashes
    /// The worker is cut off for so long, goes on, and finds its lease over.
    case lapses(Duration)
}
