import Collectives
import Diffusion
import FarmModel
import FoundationEssentials
import Networks
import Synchronization
import Tensors

/// Times a stack of transformer blocks, alone or split over a group.
struct GroupBenchmark: Sendable {
    let configuration: FluxConfiguration
    let precision: Precision
    /// Of a rank.
    let threads: Int
    let runs: Int

    /// Packs the weights and times the passes.
    ///
    /// - Returns: What rank 0 measured; nil in a process of another rank.
    /// - Throws: What the source throws, and `LinkError`.
    func run(
        _ source: any ParameterSource,
        _ stream: EngineBenchmark.Stream,
        _ group: EngineGroupOptions
    ) throws -> EngineBenchmark.Result? {
        if let rank = group.rank, let folder = group.rendezvous {
            let link = try GroupRendezvous(folder: folder, rank: rank, ranks: group.ranks)
                .connect(interface: group.interface)
            defer { link.close() }
            let result = try measure(source, stream, link)
            guard rank > 0 else { return predicted(result, alone: group.alone) }
            stay(link)
            return nil
        }
        guard group.ranks > 1 else { return try measure(source, stream, nil) }
        let threads = try GroupThreads(ranks: group.ranks)
        let weights = Mutex([RankWeights]())
        threads.start { rank, link in
            let result = try measure(source, stream, link)
            weights.withLock { $0 += result.weights }
            stay(link)
        }
        var result = try measure(source, stream, threads.links[0])
        try threads.close()
        result.weights += weights.withLock { $0.sorted { $0.rank < $1.rank } }
        return predicted(result, alone: group.alone)
    }

    private func measure(
        _ source: any ParameterSource,
        _ stream: EngineBenchmark.Stream,
        _ link: GroupLink?
    ) throws -> EngineBenchmark.Result {
        let benchmark = EngineBenchmark(
            configuration: configuration,
            precision: precision,
            compute: Compute(threads: threads)
        )
        return try benchmark.run(source, stream, runs: runs, link: link)
    }

    /// Waits until rank 0 has measured and closes the group.
    private func stay(_ link: GroupLink) {
        _ = try? link.receive()
    }

    /// The result with what was to be expected of the group.
    private func predicted(
        _ result: EngineBenchmark.Result,
        alone: Double?
    ) -> EngineBenchmark.Result {
        guard let alone, let group = result.group else { return result }
        let step = GroupStep(
            ranks: group.ranks,
            blocks: BlockSizes(
                doubleBlocks: configuration.numLayers,
                singleBlocks: configuration.numSingleLayers,
                hidden: configuration.hidden,
                mlp: configuration.mlp
            ),
            tokens: result.tokens,
            textTokens: result.textTokens,
            bytesPerValue: precision == .float32 ? 4 : 2,
            roundTrip: group.roundTrip,
            bytesPerSecond: group.bandwidth
        )
        var result = result
        result.group?.prediction = EngineBenchmark.Prediction(step, alone: alone)
        return result
    }
}

extension EngineBenchmark {
    /// What the group's link did in a pass, the mean of the timed ones.
    struct GroupResult: Encodable {
        let ranks: Int
        /// Seconds to the other ranks and back.
        let roundTrip: Double
        /// Bytes a second that a rank sends while all send.
        let bandwidth: Double
        let bytesSent: Double
        /// Seconds in which a sum or copy was under way.
        let busySeconds: Double
        /// Seconds in which the arithmetic waited for one.
        let waitedSeconds: Double
        let waitedShare: Double
        var prediction: Prediction?

        /// Of the passes, the link's speed, and what the link did in all of them.
        init(_ link: GroupLink, _ speed: LinkSpeed, _ passes: [Double], _ done: LinkStatistics) {
            let count = Double(passes.count)
            ranks = link.size
            roundTrip = speed.latency
            bandwidth = speed.bandwidth
            bytesSent = Double(done.bytesSent) / count
            busySeconds = done.busySeconds / count
            waitedSeconds = done.waitedSeconds / count
            waitedShare = done.waitedSeconds / passes.reduce(0, +)
        }

        enum CodingKeys: String, CodingKey {
            case ranks, bandwidth, prediction
            case roundTrip = "round_trip"
            case bytesSent = "bytes_sent"
            case busySeconds = "busy_seconds"
            case waitedSeconds = "waited_seconds"
            case waitedShare = "waited_share"
        }
    }

    /// What a pass of a group was to take.
    struct Prediction: Encodable {
        /// What a pass takes one rank alone.
        let alone: Double
        /// A rank's share of that.
        let arithmetic: Double
        /// Of the sums what does not hide behind the arithmetic.
        let exposed: Double
        /// To gather the modulating vectors.
        let gather: Double
        /// All of that.
        let seconds: Double

        init(_ step: GroupStep, alone: Double) {
            self.alone = alone
            arithmetic = alone / Double(step.ranks)
            exposed = step.exposedSeconds(alone: alone)
            gather = step.gatherSeconds
            seconds = step.seconds(alone: alone) + gather
        }
    }
}
