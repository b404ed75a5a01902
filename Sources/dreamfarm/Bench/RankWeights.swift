import FoundationEssentials
import Networks
import Tensors

/// What a rank of a group holds of a transformer: its part of what is split, and what every rank has.
struct RankWeights: BenchResult {
    let rank: Int
    let ranks: Int
    /// Bytes of this rank's part.
    let split: Int
    /// Bytes of what it has all of.
    let replicated: Int
    /// Bytes of the memory of a process that holds nothing else, or nil.
    let resident: Int?

    init(rank: Int, ranks: Int, _ bytes: ParameterBytes, resident: Int? = nil) {
        self.rank = rank
        self.ranks = ranks
        split = bytes.split
        replicated = bytes.replicated
        self.resident = resident
    }

    /// Reads what a rank has of a whole transformer: the leader, rank 0, all of what embeds and ends
    /// a step besides.
    ///
    /// - Throws: What the source throws.
    init(_ configuration: FluxConfiguration, from reader: LayerReader) throws {
        let shard = reader.shard
        func weights(_ bytes: ParameterBytes) -> RankWeights {
            RankWeights(
                rank: shard.rank,
                ranks: shard.size,
                bytes,
                resident: SystemMemory.resident
            )
        }
        guard shard.rank > 0 else {
            let transformer = try FluxTransformer(configuration, from: reader)
            self = withExtendedLifetime(transformer) { weights(transformer.parameterBytes) }
            return
        }
        let trunk = try FluxTrunk(configuration, from: reader)
        self = withExtendedLifetime(trunk) { weights(trunk.parameterBytes) }
    }

    var text: String {
        let memory = resident.map { ", \(Self.megabytes($0)) of memory in use" } ?? ""
        return "rank \(rank) of \(ranks): \(Self.megabytes(split)) of split weights, "
            + "\(Self.megabytes(replicated)) of others\(memory)"
    }

    private static func megabytes(_ bytes: Int) -> String {
        "\((Double(bytes) / 1e5).rounded() / 10) MB"
    }
}
