import CKernels
import Synchronization

extension Compute {
    /// The same of an attention: half of it is the products of queries and keys, half those with
    /// the values, which are not in bytes.
    ///
    /// - Parameters:
    ///   - precision: What it is computed in.
    ///   - products: The peak of that precision.
    /// - Returns: The peak of both together.
    package func attentionPeak(_ precision: Precision, products: Double) -> Double {
        guard precision != precision.floating else { return products }
        return 2 / (1 / products + 1 / peakOperations(precision.floating))
    }

    /// How many operations a second all threads reach in registers alone, a multiplication and an
    /// addition each counted: the most that products in this precision can reach here.
    package func peakOperations(_ precision: Precision) -> Double {
        let rounds: UInt64 = 20_000_000
        let level = kernels.level
        let total = Mutex(0.0)
        // once to wake the cores, once to measure
        var rate = 0.0
        for _ in 0..<2 {
            total.withLock { $0 = 0 }
            let clock = ContinuousClock()
            let elapsed = clock.measure {
                parallel(threads) { _, _ in
                    let count = kernel_peak_operations(precision.format, rounds, level)
                    total.withLock { $0 += count }
                }
            }
            rate = total.withLock { $0 } / (elapsed / .seconds(1))
        }
        return rate
    }
}
