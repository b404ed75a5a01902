import Foundation
import GoldenSupport
import Imaging
import Synchronization
import Tensors
import Testing

@testable import Diffusion

/// Pictures that several members render together.
@Suite
struct GroupRenderTests {
    /// Renders as a group of threads does; with one rank, alone.
    private func render(
        _ golden: Golden,
        path: String? = nil,
        _ precision: Precision,
        ranks: Int,
        loras: [AdapterSelection.Lora] = [],
        stepCache: Float = 0
    ) async throws -> (picture: RenderedPicture, latents: [Float]) {
        let directory = try ModelDirectory(path: path ?? golden.model)
        let pipeline = try RenderPipeline(
            model: directory,
            digest: try await directory.baseDigest(),
            selection: try golden.selection(),
            precision: precision,
            ranks: ranks,
            compute: Compute(threads: 1)
        )
        let group = LocalGroup(size: ranks)
        let selection = try golden.selection()
        let followers = (1..<ranks).map { rank in
            FollowerThread {
                defer { group.close() }
                let follower = try RenderFollower(
                    model: directory,
                    selection: selection,
                    precision: precision,
                    shard: Shard(rank: rank, size: ranks),
                    compute: Compute(threads: 1)
                )
                do {
                    try follower.follow(group.member(rank))
                } catch is LocalGroup.Lost {}
                return follower.steps
            }
        }
        if ranks > 1 { try pipeline.join(group.member(0)) }
        var request = try golden.request()
        request.loras = loras
        request.stepCache = stepCache
        let dump = IntermediateDump()
        let picture = Result { try pipeline.render(request, dump: dump) }
        try pipeline.join(nil)
        group.close()
        for follower in followers {
            #expect(try follower.steps() >= request.steps)
        }
        let file = try GoldenFolder()
        try dump.write(to: "\(file.path)/dump.safetensors")
        let tensors = try SafetensorsFile(path: "\(file.path)/dump.safetensors")
        return (try picture.get(), try tensors.values(of: "latent_step\(request.steps - 1)"))
    }

    private func distance(_ values: [Float], from others: [Float]) -> Double {
        let difference = zip(values, others).reduce(0.0) { $0 + pow(Double($1.0 - $1.1), 2) }
        return (difference / others.reduce(0.0) { $0 + pow(Double($1), 2) }).squareRoot()
    }

    private static let bounds: [(Precision, Double)] = [
        (.float32, 1e-4), (.bfloat16, 2e-2), (.int8, 4e-2),
    ]

    /// Models and degrees, the heads evenly split and not.
    private static let cases: [(Golden, Int)] = [
        (Golden.all[0], 2), (Golden.all[0], 3), (Golden.all[1], 2), (Golden.all[2], 2),
    ]

    @Test("a group's pictures are near to a worker's", arguments: cases)
    func degrees(_ golden: Golden, _ ranks: Int) async throws {
        for (precision, bound) in Self.bounds {
            let alone = try await render(golden, precision, ranks: 1)
            let group = try await render(golden, precision, ranks: ranks)
            let difference = distance(group.latents, from: alone.latents)
            #expect(difference < bound, "\(precision) on \(ranks)")
            let again = try await render(golden, precision, ranks: ranks)
            #expect(again.picture.png == group.picture.png)
            print("\(golden) \(precision) \(ranks): \(difference)")
        }
    }
}

/// A follower on a thread of its own, as it blocks.
private final class FollowerThread: Sendable {
    private let result = Mutex<Result<Int, any Error>?>(nil)
    private let end = DispatchSemaphore(value: 0)

    init(_ body: @escaping @Sendable () throws -> Int) {
        Thread { [self] in
            let outcome = Result { try body() }
            result.withLock { $0 = outcome }
            end.signal()
        }.start()
    }

    /// Waits for its end.
    func steps() throws -> Int {
        end.wait()
        return try result.withLock { $0 }?.get() ?? 0
    }
}
