import Foundation
import Synchronization
import Tensors

@testable import Diffusion

/// The members of a group as threads of this process: sums as `Reduction` describes them, at once.
final class LocalGroup: Sendable {
    struct Lost: Error {}

    let size: Int
    private let state: Mutex<State>
    private let changed = NSCondition()

    private struct State {
        var values: [Int: Tensor] = [:]
        var arrived = 0
        var round = 0
        var messages: [[[UInt8]]]
        var isClosed = false
    }

    init(size: Int) {
        self.size = size
        state = Mutex(State(messages: Array(repeating: [], count: size)))
    }

    func member(_ rank: Int) -> LocalMember { LocalMember(self, rank: rank) }

    func close() {
        state.withLock { $0.isClosed = true }
        changed.withLock { changed.broadcast() }
    }

    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// Waits until every rank came with its values; the last one works on all of them.
    func meet(_ rank: Int, _ values: Tensor, _ work: ([Tensor]) -> Void) {
        changed.withLock {
            let round = state.withLock { state in
                state.values[rank] = values
                state.arrived += 1
                return state.round
            }
            if state.withLock({ $0.arrived }) == size {
                work(state.withLock { state in (0..<size).map { state.values[$0] ?? values } })
                state.withLock { state in
                    state.arrived = 0
                    state.values = [:]
                    state.round += 1
                }
                changed.broadcast()
            }
            while state.withLock({ $0.round == round && !$0.isClosed }) { changed.wait() }
        }
    }

    func post(_ message: [UInt8]) {
        state.withLock { state in
            for rank in 1..<size { state.messages[rank].append(message) }
        }
        changed.withLock { changed.broadcast() }
    }

    func receive(_ rank: Int) throws -> [UInt8] {
        try changed.withLock {
            while true {
                let next: [UInt8]? = try state.withLock { state in
                    guard state.messages[rank].isEmpty else {
                        return state.messages[rank].removeFirst()
                    }
                    if state.isClosed { throw Lost() }
                    return nil
                }
                if let next { return next }
                changed.wait()
            }
        }
    }
}

/// One rank of a `LocalGroup`.
final class LocalMember: GroupChannel {
    let rank: Int
    private let group: LocalGroup
    private let sums = Mutex(0)

    init(_ group: LocalGroup, rank: Int) {
        self.group = group
        self.rank = rank
    }

    var size: Int { group.size }
    var failure: (any Error)? { group.isClosed ? LocalGroup.Lost() : nil }
    /// How many sums were begun.
    var count: Int { sums.withLock { $0 } }

    func sum(_ values: Tensor, in format: ReductionFormat) -> ReductionTicket {
        group.meet(rank, values) { all in
            for (owner, rows) in Shard(rank: 0, size: all.count)
                .ranges(of: values.rows, unit: 1).enumerated()
            {
                for row in rows {
                    for column in 0..<values.columns {
                        var sum: Float = 0
                        for (rank, values) in all.enumerated() {
                            let own = values.row(row)[column]
                            sum += rank == owner || format == .float32 ? own : own.asBFloat16
                        }
                        let result = format == .float32 ? sum : sum.asBFloat16
                        for values in all { values.row(row)[column] = result }
                    }
                }
            }
        }
        return ReductionTicket(
            number: sums.withLock {
                $0 += 1
                return $0
            }
        )
    }

    func wait(_ ticket: ReductionTicket) {}

    func gather(_ values: Tensor, columns parts: [Range<Int>]) {
        group.meet(rank, values) { all in
            for (source, columns) in zip(all, parts) {
                for values in all where values.base != source.base {
                    values.columns(columns).copy(from: source.columns(columns))
                }
            }
        }
    }

    func post(_ message: [UInt8]) throws { group.post(message) }
    func receive() throws -> [UInt8] { try group.receive(rank) }
}

extension Float {
    /// Rounded to the nearest bfloat16, ties to even.
    fileprivate var asBFloat16: Float {
        let bits = bitPattern
        return Float(bitPattern: (bits &+ 0x7fff &+ (bits >> 16 & 1)) & 0xffff_0000)
    }
}
