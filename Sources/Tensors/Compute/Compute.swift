import CKernels
import COpenBLAS
import Dispatch
import Synchronization

/// Where operations run: the threads, the scratch memory, and the operations networks are written
/// in.
///
/// One compute runs one operation at a time; who holds it takes care of that. Each operation is
/// cut into parts whose sizes depend on the shapes alone, so that its result is the same to the
/// last bit whatever the count of threads. The matrix library itself runs on one thread a part.
package final class Compute {
    /// How many threads an operation uses.
    package let threads: Int
    /// The instructions that products use.
    package let kernels: KernelLevel
    /// Sees the products of layers, or nil.
    package var probe: ProductProbe?
    /// Sums over the ranks of a group what layers that are split compute in part; nil alone.
    package var reduction: (any Reduction)?
    private var arena: Arena

    /// Makes a compute.
    ///
    /// - Parameters:
    ///   - threads: The count of threads; nil for one a processor this process may use.
    ///   - kernels: The instructions that products use; nil for the best of this processor.
    ///   - scratchBlock: How many values a block of scratch memory has at least.
    package init(
        threads: Int? = nil,
        kernels: KernelLevel? = nil,
        scratchBlock: Int = 4 << 20
    ) {
        arena = Arena(smallestBlock: scratchBlock)
        self.kernels = kernels ?? .best
        self.threads = max(1, threads ?? Compute.availableProcessors)
        openblas_set_num_threads(1)
    }

    /// How many processors this process may run on.
    package static var availableProcessors: Int {
        Int(kernel_available_processors())
    }

    /// Runs `body` for each index, on all threads; returns when all are done.
    ///
    /// - Parameters:
    ///   - count: How many parts there are.
    ///   - body: Gets the part's index, and a number below `threads` that no other part running
    ///     at the same time has: the key to a part's private scratch.
    package func parallel(_ count: Int, _ body: @Sendable (_ part: Int, _ worker: Int) -> Void) {
        let workers = min(threads, count)
        guard workers > 1 else {
            for part in 0..<count {
                body(part, 0)
            }
            return
        }
        let next = Atomic<Int>(0)
        DispatchQueue.concurrentPerform(iterations: workers) { worker in
            while true {
                let part = next.wrappingAdd(1, ordering: .relaxed).oldValue
                guard part < count else { return }
                body(part, worker)
            }
        }
    }

    /// Runs `body`; scratch tensors made in it are gone when it returns.
    package func withScratch<Result>(_ body: () throws -> Result) rethrows -> Result {
        let mark = arena.mark
        defer { arena.release(to: mark) }
        return try body()
    }

    /// A tensor with undefined values, valid until the enclosing `withScratch` ends.
    ///
    /// Memory is kept for the next time: a repeated computation allocates in its first round only.
    package func scratch(_ rows: Int, _ columns: Int) -> Tensor {
        arena.take(rows: rows, columns: columns)
    }

    /// Bytes of scratch memory held, in use or kept.
    package var scratchBytes: Int { arena.bytes }

    /// How often scratch memory had to be allocated since the start.
    package var scratchAllocations: Int { arena.allocations }

    /// Gives kept scratch memory back to the system.
    ///
    /// Call it outside `withScratch` only.
    package func trimScratch() {
        arena.trim()
    }
}

/// A stack of scratch memory in a few large blocks.
private struct Arena {
    struct Mark {
        var block: Int
        var used: Int
    }

    private var blocks: [Memory] = []
    private var current = 0
    private var used = 0
    private(set) var allocations = 0
    private let smallestBlock: Int

    /// Tensors start on a cache line.
    private static let alignment = 16

    init(smallestBlock: Int) {
        self.smallestBlock = smallestBlock
    }

    var mark: Mark { Mark(block: current, used: used) }
    var bytes: Int { blocks.reduce(0) { $0 + $1.count } * MemoryLayout<Float>.stride }

    mutating func take(rows: Int, columns: Int) -> Tensor {
        let count = (rows * columns + Arena.alignment - 1) / Arena.alignment * Arena.alignment
        while current < blocks.count {
            if used + count <= blocks[current].count {
                defer { used += count }
                return Tensor(
                    memory: blocks[current],
                    offset: used,
                    rows: rows,
                    columns: columns,
                    stride: columns
                )
            }
            current += 1
            used = 0
        }
        blocks.append(Memory(count: max(count, smallestBlock)))
        allocations += 1
        current = blocks.count - 1
        used = count
        return Tensor(
            memory: blocks[current],
            offset: 0,
            rows: rows,
            columns: columns,
            stride: columns
        )
    }

    mutating func release(to mark: Mark) {
        current = mark.block
        used = mark.used
    }

    mutating func trim() {
        precondition(current == 0 && used == 0, "scratch memory is still in use")
        blocks = []
    }
}
