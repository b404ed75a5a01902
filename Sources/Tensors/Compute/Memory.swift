import Glibc

/// A block of float32 memory, given back when its last tensor goes.
///
/// Large blocks come straight from the system in huge pages where it has them: they go back to it
/// at once, and a matrix product over them spends less time on address translation.
///
/// The memory itself is not synchronised: `Compute` runs one operation at a time, and the parts
/// of an operation write to disjoint ranges. That is what makes the unchecked conformance right.
package final class Memory: @unchecked Sendable {
    package let base: UnsafeMutablePointer<Float>
    package let count: Int
    private let mappedBytes: Int
    /// What the memory belongs to where it is not this object's own.
    private let owner: (any AnyObject & Sendable)?

    private static let hugePage = 2 << 20

    /// Allocates zeroed memory for `count` values, aligned to 64 bytes or more.
    package init(count: Int) {
        precondition(count >= 0, "a memory block has no negative size")
        self.count = count
        owner = nil
        let bytes = max(count, 1) * MemoryLayout<Float>.stride
        if bytes >= 2 * Memory.hugePage {
            let mapped = mmap(
                nil,
                bytes,
                PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                -1,
                0
            )
            if let mapped, mapped != MAP_FAILED {
                madvise(mapped, bytes, MADV_HUGEPAGE)
                base = mapped.assumingMemoryBound(to: Float.self)
                mappedBytes = bytes
                return
            }
        }
        let raw = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
        raw.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
        base = raw.assumingMemoryBound(to: Float.self)
        mappedBytes = 0
    }

    /// Memory that another object keeps, such as a mapped file; it is not written to.
    init(_ base: UnsafeMutablePointer<Float>, count: Int, of owner: any AnyObject & Sendable) {
        self.base = base
        self.count = count
        self.owner = owner
        mappedBytes = 0
    }

    /// All of it as bytes.
    var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(UnsafeBufferPointer(start: base, count: count))
    }

    /// Gives the pages of a mapped file back to the system.
    func letGo() {
        (owner as? FileMapping)?.release(bytes)
    }

    deinit {
        guard owner == nil else { return }
        if mappedBytes > 0 {
            munmap(base, mappedBytes)
        } else {
            UnsafeMutableRawPointer(base).deallocate()
        }
    }
}
