import Tensors
import Testing

@testable import Networks

/// When blocks are left out, and what stands for them.
@Suite
struct StepCacheTests {
    private let compute = Compute(threads: 2)

    /// Runs blocks that add constants; returns the tokens afterwards and whether the rest was run.
    private func run(
        _ cache: StepCache,
        first: Float,
        rest: Float
    ) -> (values: [Float], ranRest: Bool) {
        let x = Tensor(rows: 5, columns: 48)
        x.fill(8)
        var ranRest = false
        cache.run(x, picture: 2..<5, in: compute) {
            for row in 0..<5 { for column in 0..<48 { x.row(row)[column] += first } }
        } finish: {
            ranRest = true
            for row in 0..<5 { for column in 0..<48 { x.row(row)[column] += rest } }
        }
        return (Array(x.elements), ranRest)
    }

    @Test("the rest is left out while the first block is near to when it last ran")
    func near() {
        let cache = StepCache(threshold: 0.25)
        var result = run(cache, first: 4, rest: 16)
        #expect(result.ranRest && !cache.wasHit)
        #expect(result.values == [Float](repeating: 28, count: 240))
        // a fifth off, and what the rest added then is added again
        for _ in 0..<2 {
            result = run(cache, first: 5 - 0.5, rest: 99)
            #expect(!result.ranRest && cache.wasHit)
            #expect(result.values == [Float](repeating: 28.5, count: 240))
        }
        // measured from when the rest was run, not from the last step
        result = run(cache, first: 5, rest: 2)
        #expect(result.ranRest && !cache.wasHit)
        #expect(result.values == [Float](repeating: 15, count: 240))
        result = run(cache, first: 5.5, rest: 99)
        #expect(!result.ranRest && cache.wasHit)
        #expect(result.values == [Float](repeating: 15.5, count: 240))
    }

    @Test("what is equal is near to any threshold but 0; where nothing is added all is run")
    func edges() {
        let never = StepCache(threshold: 0)
        let always = StepCache(threshold: .leastNonzeroMagnitude)
        for pass in 0..<3 {
            #expect(run(never, first: 4, rest: 1).ranRest)
            #expect(run(always, first: 4, rest: 1).ranRest == (pass == 0))
        }
        let idle = StepCache(threshold: 1)
        for _ in 0..<2 { #expect(run(idle, first: 0, rest: 1).ranRest) }
    }
}
