import Foundation
import Synchronization

/// Carries the bytes of one TCP connection one way, later than they came and no faster than a rate.
///
/// One thread reads, one writes; between them stands what is on its way.
final class DelayLine: Sendable {
    private struct Piece {
        let due: Double
        let bytes: [UInt8]
    }

    private struct State {
        var pieces: [Piece] = []
        var byteCount = 0
        var isEnded = false
    }

    private let state = Mutex(State())
    private let delay: Double
    private let rate: Double
    private let arrived = DispatchSemaphore(value: 0)
    /// What a real way would keep in its queues: as much as the delay holds, and some more.
    private let room: Int

    /// Begins to carry.
    ///
    /// - Parameters:
    ///   - source: The socket that is read.
    ///   - destination: The socket that is written to.
    ///   - delay: Seconds that each byte is on its way.
    ///   - rate: Bytes a second at most.
    init(from source: Int32, to destination: Int32, delay: Double, rate: Double) {
        self.delay = delay
        self.rate = rate
        room = (4 << 20) + Int(min(delay * rate, 1e9))
        Thread.detachNewThread { [self] in read(source) }
        Thread.detachNewThread { [self] in write(destination) }
    }

    private func read(_ source: Int32) {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = recv(source, &buffer, buffer.count, 0)
            let piece = Piece(due: now() + delay, bytes: Array(buffer.prefix(max(count, 0))))
            let waiting = state.withLock { state in
                state.pieces.append(piece)
                state.byteCount += piece.bytes.count
                state.isEnded = count <= 0
                return state.byteCount
            }
            arrived.signal()
            guard count > 0 else { return }
            if waiting > room {
                sleep(until: now() + Double(waiting - room) / rate)
            }
        }
    }

    private func write(_ destination: Int32) {
        var free = 0.0
        while true {
            arrived.wait()
            let piece = state.withLock { state in
                let piece = state.pieces.removeFirst()
                state.byteCount -= piece.bytes.count
                return piece
            }
            guard !piece.bytes.isEmpty else {
                shutdown(destination, Int32(SHUT_WR))
                return
            }
            free = max(free, piece.due) + Double(piece.bytes.count) / rate
            sleep(until: free)
            var sent = 0
            while sent < piece.bytes.count {
                let rest = piece.bytes[sent...]
                let count = rest.withUnsafeBytes {
                    send(destination, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
                guard count > 0 else { return }
                sent += count
            }
        }
    }
}

/// Seconds since some moment, never set back.
func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

private func sleep(until deadline: Double) {
    var time = timespec()
    time.tv_sec = Int(deadline)
    time.tv_nsec = Int((deadline - deadline.rounded(.down)) * 1e9)
    while clock_nanosleep(CLOCK_MONOTONIC, Int32(TIMER_ABSTIME), &time, nil) == EINTR {}
}
