import CKernels
import Synchronization

extension Compute {
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
