import Collectives
import Diffusion
import Dispatch
package import FarmModel
package import FoundationEssentials
import Synchronization
import Tensors

/// Renders alone, or with the other members of a group, as it is told; holds the whole model or a
/// rank's part of it, never both.
package final class GroupRenderer: ImageRenderer {
    /// What is in memory.
    private enum Resident: Sendable {
        case nothing
        /// The whole model, or the first rank's part.
        case pipeline(PipelineRenderer, Shard)
        case part(GroupPart, Shard)

        var shard: Shard? {
            switch self {
            case .nothing: nil
            case .pipeline(_, let shard), .part(_, let shard): shard
            }
        }
    }

    private struct State: Sendable {
        var resident = Resident.nothing
        var link: GroupLink?
        var figures = GroupFigures()
        /// The link's statistics that were told already.
        var told = LinkStatistics()
    }

    private let configuration: PipelineRenderer.Configuration
    private let log: @Sendable (String) -> Void
    /// What a worker that holds the whole model says of it: what it registers with, whatever it holds.
    let whole: RendererModel
    /// The memory that the model takes.
    package let memory: ModelMemory
    /// Where links connect and are measured, which blocks.
    let linking = WorkQueue("dreamfarm.link", qos: .userInitiated)
    private let state = Mutex(State())

    /// Opens a model; nothing of it is read yet.
    ///
    /// - Parameters:
    ///   - configuration: Which model.
    ///   - log: Receives a line when something long begins, and warnings.
    /// - Throws: An error that names the file and the remedy when the model cannot be used.
    package init(
        _ configuration: PipelineRenderer.Configuration,
        log: @escaping @Sendable (String) -> Void
    ) async throws {
        self.configuration = configuration
        self.log = log
        let opened = try await PipelineRenderer(opening: configuration, log: log)
        whole = opened.model
        memory = opened.memory
    }

    /// What the renderer is now: its class is that of what it holds.
    package var model: RendererModel { pipeline?.model ?? whole }

    private var pipeline: PipelineRenderer? {
        state.withLock { state in
            guard case .pipeline(let pipeline, _) = state.resident else { return nil }
            return pipeline
        }
    }

    // MARK: - What is in memory

    /// Whether it can render alone now.
    var holdsWhole: Bool { state.withLock { $0.resident.shard } == .whole }

    /// Reads the whole model where the worker is to render alone while it is in no group: one of any
    /// group, with the memory for it.
    ///
    /// - Parameters:
    ///   - settings: How it takes part in groups.
    ///   - memory: What rendering may use, in bytes; 0 where that is not known.
    /// - Returns: The settings, with that decided.
    /// - Throws: An error that names the file and the remedy when the model cannot be read.
    package func prepare(_ settings: GroupSettings, memory: Int64) async throws -> GroupSettings {
        var settings = settings
        settings.rendersAlone =
            settings.offer.name == nil && (memory == 0 || self.memory.needed(ranks: 1) <= memory)
        if settings.rendersAlone {
            try await load(.whole)
        } else if settings.offer.name == nil {
            log(
                "the model takes \(self.memory.needed(ranks: 1) >> 20) MiB, and \(memory >> 20) MiB"
                    + " are for rendering: it waits for a group"
            )
        }
        return settings
    }

    /// Reads a rank's part, or the whole model, in place of what was there; nothing where that is
    /// it already.
    func load(_ shard: Shard) async throws {
        guard state.withLock({ $0.resident.shard }) != shard else { return }
        state.withLock { $0.resident = .nothing }
        let begin = ContinuousClock.now
        let resident: Resident
        if shard.rank == 0 {
            var configuration = configuration
            configuration.ranks = shard.size
            let pipeline = try await PipelineRenderer(opening: configuration, log: log)
            try await pipeline.load()
            resident = .pipeline(pipeline, shard)
        } else {
            resident = .part(try await GroupPart(configuration, shard, log: log), shard)
        }
        state.withLock { state in
            state.resident = resident
            state.figures.loadSeconds = (ContinuousClock.now - begin) / .seconds(1)
        }
    }

    /// Lets go of what is in memory.
    func unload() {
        state.withLock { $0.resident = .nothing }
    }

    // MARK: - Group

    /// Computes with the members of a link from now on.
    ///
    /// - Returns: The speed that the first rank measured, in floating point operations a second.
    func join(_ link: GroupLink, connectedIn seconds: Double) async throws -> Double? {
        let speed = try await linking.run { try link.measure() }
        let resident = state.withLock { state in
            state.link = link
            state.told = LinkStatistics()
            state.figures.connectSeconds = seconds
            state.figures.latencySeconds = speed.map { $0.latency / 2 }
            state.figures.bytesPerSecond = speed?.bandwidth
            return state.resident
        }
        switch resident {
        case .nothing: return nil
        case .part(let part, _):
            part.follow(link)
            return nil
        case .pipeline(let pipeline, _):
            try await pipeline.join(link)
            return try await pipeline.warmUp()
        }
    }

    /// What the pictures of the group share, as this rank computes them; nil alone.
    var groupClass: String? {
        state.withLock { state in
            switch state.resident {
            case .nothing: nil
            case .part(let part, _): part.numericClass
            case .pipeline(let pipeline, let shard):
                shard.isWhole ? nil : pipeline.model.numericClass
            }
        }
    }

    /// Why this rank computes no more for the group, where that is not its link's failure.
    var failure: (any Error)? {
        state.withLock { state in
            guard case .part(let part, _) = state.resident else { return nil }
            return part.failure
        }
    }

    /// Computes with nobody any more: what runs ends at once.
    func disband() async {
        let (link, resident) = state.withLock { state in
            defer { state.link = nil }
            return (state.link, state.resident)
        }
        link?.close()
        switch resident {
        case .nothing: break
        case .part(let part, _): await part.end()
        case .pipeline(let pipeline, let shard):
            if !shard.isWhole { try? await pipeline.join(nil) }
        }
    }

    /// How many workers compute together now; 1 outside a group.
    var size: Int { state.withLock { $0.link?.size ?? 1 } }

    /// What was measured since the last time.
    func takeFigures() -> GroupFigures {
        state.withLock { state in
            if let statistics = state.link?.statistics {
                let done = statistics - state.told
                state.figures.reduceSeconds = done.busySeconds
                state.figures.waitSeconds = done.waitedSeconds
                state.figures.reduceBytes = Double(done.bytesSent)
                state.told = statistics
            }
            let figures = state.figures
            state.figures.stepSeconds = 0
            state.figures.steps = 0
            return figures
        }
    }

    // MARK: - ImageRenderer

    package var readsReferences: Bool { true }
    package var freeMemory: Int64? { PipelineRenderer.availableMemory }

    package func warmUp() async throws -> Double? {
        guard let pipeline, state.withLock({ $0.resident.shard }) == .whole else { return nil }
        return try await pipeline.warmUp()
    }

    package func conditions(
        of image: ImageAssignment,
        references: [String]
    ) async throws -> [FarmModel.ArtifactKey] {
        try await leading().conditions(of: image, references: references)
    }

    package func holds(_ condition: FarmModel.ArtifactKey) -> Bool {
        pipeline?.holds(condition) ?? false
    }

    package func adopt(_ bytes: Data, as condition: FarmModel.ArtifactKey) throws {
        try pipeline?.adopt(bytes, as: condition)
    }

    package func bytes(of condition: FarmModel.ArtifactKey) -> Data? {
        pipeline?.bytes(of: condition)
    }

    package func render(
        _ work: RenderWork,
        onEvent: @escaping @Sendable (RenderEvent) throws -> Void
    ) async throws -> RenderedPicture {
        let pipeline = try leading()
        do {
            return try await pipeline.render(work) { [self] event in
                if case .step(let step) = event {
                    state.withLock { state in
                        // What it renders alone is no group's.
                        guard state.link != nil else { return }
                        state.figures.steps += 1
                        state.figures.stepSeconds += step.seconds
                    }
                }
                try onEvent(event)
            }
        } catch let error as GroupError {
            throw RenderInterrupted(reason: "\(error)")
        }
    }

    private func leading() throws -> PipelineRenderer {
        guard let pipeline else {
            throw RenderInterrupted(reason: "the worker leads no group and holds no model alone")
        }
        return pipeline
    }
}
