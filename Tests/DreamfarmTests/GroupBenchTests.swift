import ArgumentParser
import Diffusion
import Foundation
import Networks
import Synchronization
import Tensors
import Testing

@testable import dreamfarm

/// `dreamfarm bench engine` with ranks: that a group computes what one rank does, and what is told.
@Suite
struct GroupBenchTests {
    private static let geometry = ModelGeometry.tiny.transformer

    private func run(_ arguments: [String]) throws -> EngineBenchmark.Result? {
        let group = try BenchCommand.Engine.parse(["--geometry", "tiny"] + arguments).group
        let benchmark = GroupBenchmark(
            configuration: Self.geometry,
            precision: .float32,
            threads: 1,
            runs: 3
        )
        let stream = EngineBenchmark.Stream(Self.geometry, tokens: 40, textTokens: 8)
        return try benchmark.run(NoiseSource(seed: 0), stream, group)
    }

    private func distance(
        _ left: EngineBenchmark.Result,
        _ right: EngineBenchmark.Result
    ) -> Float {
        zip(left.output.tokens.values, right.output.tokens.values)
            .reduce(0) { max($0, abs($1.0 - $1.1)) }
    }

    @Test("ranks in threads compute what one does, and tell what they hold and send")
    func threads() throws {
        let alone = try #require(try run([]))
        #expect(alone.group == nil && alone.weights.count == 1)
        let both = try #require(try run(["--ranks", "2", "--alone", "\(alone.seconds)"]))
        #expect(distance(alone, both) < 1e-3)
        #expect(both.weights.map(\.rank) == [0, 1])
        let split = both.weights.map(\.split)
        #expect(split.reduce(0, +) >= alone.weights[0].split)
        #expect(split.allSatisfy { Double($0) <= Double(alone.weights[0].split) / 2 * 1.05 })
        let group = try #require(both.group)
        #expect(group.ranks == 2 && group.roundTrip > 0 && group.bandwidth > 0)
        // each addition goes out in halves, and comes back in halves
        let additions = 2 * Self.geometry.numLayers + Self.geometry.numSingleLayers
        #expect(group.bytesSent >= Double(additions * 40 * Self.geometry.hidden * 4))
        #expect(group.busySeconds > 0 && group.waitedShare <= 1)
        let expected = try #require(group.prediction)
        #expect(expected.arithmetic == alone.seconds / 2 && expected.seconds > expected.arithmetic)
        #expect(both.text.contains("times as fast as alone"))
        let json = try JSONDecoder().decode(Shown.self, from: Data(both.json().utf8))
        #expect(json.group.bytes_sent == group.bytesSent && json.weights.count == 2)
    }

    @Test("ranks in processes find each other in a folder")
    func rendezvous() throws {
        let task = try TaskFolder()
        let folder = "\(task.path)/group"
        let results = Mutex([EngineBenchmark.Result]())
        let failures = Mutex([any Error]())
        DispatchQueue.concurrentPerform(iterations: 2) { rank in
            do {
                let result = try run([
                    "--ranks", "2", "--rank", "\(rank)", "--rendezvous", folder,
                ])
                results.withLock { $0 += [result].compactMap(\.self) }
            } catch {
                failures.withLock { $0.append(error) }
            }
        }
        #expect(failures.withLock { $0 }.isEmpty)
        let told = results.withLock { $0 }
        #expect(told.count == 1 && told.first?.weights.map(\.rank) == [0])
        let alone = try #require(try run([]))
        #expect(distance(alone, try #require(told.first)) < 1e-3)
    }

    @Test("the ranks' parts are the whole, and the leader has what embeds besides")
    func weights() throws {
        func weights(_ rank: Int, of ranks: Int) throws -> RankWeights {
            try RankWeights(
                Self.geometry,
                from: LayerReader(
                    NoiseSource(seed: 0),
                    shard: Shard(rank: rank, size: ranks)
                )
            )
        }
        let whole = try weights(0, of: 1)
        let parts = try (0..<2).map { try weights($0, of: 2) }
        #expect(parts.reduce(0) { $0 + $1.split } >= whole.split)
        #expect(parts.allSatisfy { Double($0.split) <= Double(whole.split) / 2 * 1.05 })
        #expect(parts[0].replicated == whole.replicated)
        #expect(parts[1].replicated < parts[0].replicated)
        #expect(try #require(whole.resident) > whole.split)
        #expect(whole.text.hasPrefix("rank 0 of 1: "))
        let command = try BenchCommand.Engine.parse([
            "--geometry", "tiny", "--ranks", "2", "--rank", "1", "--weights-only",
        ])
        try command.run()
    }

    private struct Shown: Decodable {
        struct Group: Decodable {
            let bytes_sent: Double
        }
        struct Weights: Decodable {
            let split: Int
        }
        let group: Group
        let weights: [Weights]
    }
}
