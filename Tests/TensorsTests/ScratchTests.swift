import Tensors
import Testing

/// The scratch memory of a compute.
@Suite
struct ScratchTests {
    /// Nested scopes with tensors of many sizes; returns the sum of what it wrote.
    private func work(_ compute: Compute) -> Float {
        compute.withScratch {
            let outer = compute.scratch(3, 5)
            outer.fill(1)
            for columns in [700, 3, 90] {
                compute.withScratch {
                    let inner = compute.scratch(2, columns)
                    inner.fill(2)
                    compute.withScratch {
                        compute.scratch(columns, 4).fill(3)
                    }
                    #expect(inner.values.allSatisfy { $0 == 2 })
                }
            }
            compute.scratch(1, 1000).fill(4)
            return outer.values.reduce(0, +)
        }
    }

    @Test("the same work again takes no new memory", arguments: [1, 64, 1024, 1 << 16])
    func reuse(block: Int) {
        let compute = Compute(threads: 1, scratchBlock: block)
        #expect(compute.scratchAllocations == 0)
        #expect(work(compute) == 15)
        let (allocations, bytes) = (compute.scratchAllocations, compute.scratchBytes)
        #expect(allocations > 0 && bytes >= 4 * (15 + 1000))
        for _ in 0..<3 {
            #expect(work(compute) == 15)
        }
        #expect(compute.scratchAllocations == allocations)
        #expect(compute.scratchBytes == bytes)
    }

    @Test("memory that is given back is taken again when it is needed")
    func trim() {
        let compute = Compute(threads: 1, scratchBlock: 64)
        #expect(work(compute) == 15)
        let allocations = compute.scratchAllocations
        compute.trimScratch()
        #expect(compute.scratchBytes == 0)
        #expect(work(compute) == 15)
        #expect(compute.scratchAllocations == 2 * allocations)
    }

    @Test("tensors of one scope do not overlap; those of scopes one after another do")
    func placement() {
        let compute = Compute(threads: 1)
        compute.withScratch {
            let tensors = (1...20).map { compute.scratch($0, 7) }
            for (index, tensor) in tensors.enumerated() {
                tensor.fill(Float(index))
                #expect(UInt(bitPattern: tensor.base) % 64 == 0)
            }
            for (index, tensor) in tensors.enumerated() {
                #expect(tensor.values == [Float](repeating: Float(index), count: 7 * (index + 1)))
            }
        }
        let first = compute.withScratch { compute.scratch(5, 5).base }
        #expect(compute.withScratch { compute.scratch(3, 3).base } == first)
    }

    @Test("a scope that ends by an error gives its memory back")
    func failure() {
        struct Failure: Error {}
        let compute = Compute(threads: 1)
        let first = compute.withScratch { compute.scratch(5, 5).base }
        #expect(throws: Failure.self) {
            try compute.withScratch {
                _ = compute.scratch(100, 100)
                throw Failure()
            }
        }
        #expect(compute.withScratch { compute.scratch(5, 5).base } == first)
    }
}
