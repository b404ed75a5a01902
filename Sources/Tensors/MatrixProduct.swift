import COpenBLAS
import Dispatch

/// Rows that one call of the library computes.
///
/// It never changes with the thread count, so that sums are formed in one order whatever the
/// machine has.
private let rowBlock = 256

/// Whether OpenBLAS was told, once, to use no threads of its own: blocks of rows are spread here.
private let isSingleThreaded: Bool = {
    openblas_set_num_threads(1)
    return true
}()

/// Computes `C = alpha · A · B + beta · C` in float32, all three row-major and without gaps.
///
/// The result is the same to the last bit for every thread count. It works on plain buffers, for
/// weights that are still being read; operations on tensors are `Compute`'s.
///
/// - Parameters:
///   - c: (m, n); read only when `beta` is not zero.
///   - a: (m, k).
///   - b: (k, n).
///   - m: Rows of A and C.
///   - n: Columns of B and C.
///   - k: Columns of A, rows of B.
///   - alpha: Factor of the product.
///   - beta: Factor of what C held before.
///   - threads: How many threads share the rows; 1 or more.
package func matrixProduct(
    _ c: UnsafeMutableBufferPointer<Float>,
    _ a: UnsafeBufferPointer<Float>,
    _ b: UnsafeBufferPointer<Float>,
    m: Int,
    n: Int,
    k: Int,
    alpha: Float = 1,
    beta: Float = 0,
    threads: Int = 1
) {
    precondition(c.count >= m * n && a.count >= m * k && b.count >= k * n, "a matrix is too short")
    precondition(isSingleThreaded && threads > 0, "at least one thread")
    guard m > 0, n > 0, let cBase = c.baseAddress else { return }
    // The threads write disjoint rows of C and only read A and B.
    nonisolated(unsafe) let output = cBase
    nonisolated(unsafe) let left = a.baseAddress
    nonisolated(unsafe) let right = b.baseAddress
    let blocks = (m + rowBlock - 1) / rowBlock
    let workers = min(threads, blocks)
    DispatchQueue.concurrentPerform(iterations: workers) { worker in
        for block in stride(from: worker, to: blocks, by: workers) {
            let row = block * rowBlock
            cblas_sgemm(
                CblasRowMajor,
                CblasNoTrans,
                CblasNoTrans,
                blasint(min(rowBlock, m - row)),
                blasint(n),
                blasint(k),
                alpha,
                left.map { $0 + row * k },
                blasint(max(k, 1)),
                right,
                blasint(n),
                beta,
                output + row * n,
                blasint(n)
            )
        }
    }
}
