import Tensors

/// Sums values over the ranks: each rank adds up one part, and may send it to all.
///
/// The rank that adds gets its part of every other's values, in the order of ranks, and where the
/// sum is spread it returns to all. The same memory holds what goes out and what returns: a part
/// of the sum comes only after all of what was sent for it has arrived.
struct SumOperation: GroupOperation {
    private let values: Tensor
    private let format: ReductionFormat
    /// Which values each rank adds up.
    private let parts: [Range<Int>]
    /// Whether all ranks get the sum, or each its part.
    private let isSpread: Bool

    /// Parts begin where vectors do.
    private static let alignment = 64

    /// A sum for all ranks.
    init(_ values: Tensor, in format: ReductionFormat, size: Int) {
        let count = values.rows * values.columns
        let blocks = (count + Self.alignment - 1) / Self.alignment
        self.values = values
        self.format = format
        parts = (0..<size).map { rank in
            let bounds = [rank, rank + 1].map { min(count, blocks * $0 / size * Self.alignment) }
            return bounds[0]..<bounds[1]
        }
        isSpread = true
    }

    /// A sum of which each rank gets its rows.
    init(_ values: Tensor, rows: [Range<Int>], in format: ReductionFormat) {
        self.values = values
        self.format = format
        parts = rows.map {
            $0.lowerBound * values.columns..<$0.upperBound * values.columns
        }
        isSpread = false
    }

    func begin(_ lane: OperationLane, ticket: Int) throws {
        let own = bytes(lane.mesh.rank)
        switch format {
        case .float32: try lane.useMemory(UnsafeMutableRawBufferPointer(values.elements))
        case .bfloat16: try lane.useStaging(byteCount: values.rows * values.columns * width)
        }
        if !own.isEmpty {
            try lane.useIncoming(byteCount: own.count * (parts.count - 1))
            for peer in lane.mesh.peers {
                let start = own.count * (peer < lane.mesh.rank ? peer : peer - 1)
                try lane.incoming.receive(
                    start..<start + own.count,
                    from: peer,
                    slot: .operation(ticket, phase: 0)
                )
            }
        }
        let others = others(than: lane.mesh)
        if isSpread {
            for peer in others {
                let result = bytes(peer)
                try lane.wire.receive(result, from: peer, slot: .operation(ticket, phase: 1))
            }
        }
        for peer in others {
            if format == .bfloat16 {
                RankSum.narrow(
                    halves(lane.wire) + parts[peer].lowerBound,
                    from: UnsafeBufferPointer(rebasing: values.elements[parts[peer]])
                )
            }
            try lane.wire.send(bytes(peer), to: peer, slot: .operation(ticket, phase: 0))
        }
    }

    func combine(_ lane: OperationLane, ticket: Int) throws {
        let rank = lane.mesh.rank
        guard !parts[rank].isEmpty else { return }
        try lane.incoming.waitReceived(parts.count - 1)
        let own = UnsafeMutableBufferPointer(rebasing: values.elements[parts[rank]])
        let count = own.count * (parts.count - 1)
        guard let received = lane.incoming.memory.baseAddress else { return }
        switch format {
        case .float32:
            let others = received.assumingMemoryBound(to: Float.self)
            RankSum.add(own, of: rank, to: UnsafeBufferPointer(start: others, count: count))
        case .bfloat16:
            let others = received.assumingMemoryBound(to: UInt16.self)
            RankSum.add(
                own,
                rounded: halves(lane.wire) + parts[rank].lowerBound,
                of: rank,
                to: UnsafeBufferPointer(start: others, count: count)
            )
        }
        guard isSpread else { return }
        for peer in lane.mesh.peers {
            try lane.wire.send(bytes(rank), to: peer, slot: .operation(ticket, phase: 1))
        }
    }

    func finish(_ lane: OperationLane, ticket: Int) throws {
        let others = others(than: lane.mesh)
        if isSpread {
            try lane.wire.waitReceived(others.count)
            for peer in others where format == .bfloat16 {
                RankSum.widen(
                    UnsafeMutableBufferPointer(rebasing: values.elements[parts[peer]]),
                    from: halves(lane.wire) + parts[peer].lowerBound
                )
            }
        }
        let spread = isSpread && !parts[lane.mesh.rank].isEmpty ? parts.count - 1 : 0
        try lane.wire.waitSent(others.count + spread)
    }

    private var width: Int {
        switch format {
        case .float32: MemoryLayout<Float>.stride
        case .bfloat16: MemoryLayout<UInt16>.stride
        }
    }

    /// Where a rank's part stands in what is sent.
    private func bytes(_ rank: Int) -> Range<Int> {
        parts[rank].lowerBound * width..<parts[rank].upperBound * width
    }

    /// The peers that add up anything.
    private func others(than mesh: GlooMesh) -> [Int] {
        mesh.peers.filter { !parts[$0].isEmpty }
    }

    private func halves(_ buffer: GlooBuffer) -> UnsafeMutablePointer<UInt16> {
        guard let base = buffer.memory.baseAddress else {
            preconditionFailure("a lane's memory is never empty")
        }
        return base.assumingMemoryBound(to: UInt16.self)
    }
}
