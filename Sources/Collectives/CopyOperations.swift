import Tensors

/// Copies columns from the ranks that have them to all.
struct GatherOperation: GroupOperation {
    private let values: Tensor
    private let parts: [Range<Int>]

    init(_ values: Tensor, columns parts: [Range<Int>]) {
        self.values = values
        self.parts = parts
    }

    func begin(_ lane: OperationLane, ticket: Int) throws {
        try lane.useStaging(byteCount: bytes(parts.count).lowerBound)
        for peer in others(than: lane.mesh) {
            try lane.wire.receive(bytes(peer), from: peer, slot: .operation(ticket))
        }
        let rank = lane.mesh.rank
        guard !bytes(rank).isEmpty else { return }
        copy(rank, lane.wire) { row, packed in packed.update(from: row, count: parts[rank].count) }
        for peer in lane.mesh.peers {
            try lane.wire.send(bytes(rank), to: peer, slot: .operation(ticket))
        }
    }

    func finish(_ lane: OperationLane, ticket: Int) throws {
        let others = others(than: lane.mesh)
        try lane.wire.waitReceived(others.count)
        for peer in others {
            copy(peer, lane.wire) { row, packed in
                row.update(from: packed, count: parts[peer].count)
            }
        }
        try lane.wire.waitSent(bytes(lane.mesh.rank).isEmpty ? 0 : parts.count - 1)
    }

    /// Where a rank's columns stand in what is sent, row after row.
    private func bytes(_ rank: Int) -> Range<Int> {
        let row = values.rows * MemoryLayout<Float>.stride
        let start = parts[..<rank].reduce(0) { $0 + $1.count } * row
        return start..<start + (rank < parts.count ? parts[rank].count * row : 0)
    }

    private func others(than mesh: GlooMesh) -> [Int] {
        mesh.peers.filter { !bytes($0).isEmpty }
    }

    private func copy(
        _ rank: Int,
        _ wire: GlooBuffer,
        _ body: (UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>) -> Void
    ) {
        guard let base = wire.memory.baseAddress else { return }
        var packed = (base + bytes(rank).lowerBound).assumingMemoryBound(to: Float.self)
        for row in 0..<values.rows {
            body(values.row(row) + parts[rank].lowerBound, packed)
            packed += parts[rank].count
        }
    }
}

/// Copies memory from one rank to all.
///
/// The caller leaves the memory alone until the operation is over. That is what makes the
/// unchecked conformance right.
struct BroadcastOperation: GroupOperation, @unchecked Sendable {
    let memory: UnsafeMutableRawBufferPointer
    let root: Int

    func begin(_ lane: OperationLane, ticket: Int) throws {
        try lane.useMemory(memory)
        let pieces = Pieces(lane.wire, slot: .operation(ticket))
        if lane.mesh.rank == root {
            try pieces.send(0..<memory.count, to: lane.mesh.peers)
        } else {
            try pieces.receive(0..<memory.count, from: root)
        }
    }

    func finish(_ lane: OperationLane, ticket: Int) throws {}
}

/// Is over when every rank has begun it.
struct BarrierOperation: GroupOperation {
    func begin(_ lane: OperationLane, ticket: Int) throws {
        try lane.useStaging(byteCount: 1)
        try lane.useIncoming(byteCount: lane.mesh.size)
        for peer in lane.mesh.peers {
            try lane.incoming.receive(peer..<peer + 1, from: peer, slot: .operation(ticket))
        }
        for peer in lane.mesh.peers {
            try lane.wire.send(0..<1, to: peer, slot: .operation(ticket))
        }
    }

    func finish(_ lane: OperationLane, ticket: Int) throws {
        try lane.incoming.waitReceived(lane.mesh.peers.count)
        try lane.wire.waitSent(lane.mesh.peers.count)
    }
}

/// Long messages in pieces, two of them under way: a sign of life waits for no more than those.
struct Pieces {
    private let buffer: GlooBuffer
    private let slot: Slot

    private static let size = 4 << 20
    private static let underWay = 2

    init(_ buffer: GlooBuffer, slot: Slot) {
        self.buffer = buffer
        self.slot = slot
    }

    /// Sends a part of the buffer to peers, and waits until it is sent.
    func send(_ range: Range<Int>, to peers: [Int]) throws {
        try run(range) { piece in
            for peer in peers {
                try buffer.send(piece, to: peer, slot: slot)
            }
        } wait: {
            try buffer.waitSent(peers.count)
        }
    }

    /// Receives into a part of the buffer, and waits until it has come.
    func receive(_ range: Range<Int>, from peer: Int) throws {
        try run(range) { piece in
            try buffer.receive(piece, from: peer, slot: slot)
        } wait: {
            try buffer.waitReceived()
        }
    }

    private func run(
        _ range: Range<Int>,
        post: (Range<Int>) throws -> Void,
        wait: () throws -> Void
    ) throws {
        var posted = 0
        for start in stride(from: range.lowerBound, to: range.upperBound, by: Self.size) {
            if posted == Self.underWay {
                try wait()
                posted -= 1
            }
            try post(start..<min(start + Self.size, range.upperBound))
            posted += 1
        }
        for _ in 0..<posted {
            try wait()
        }
    }
}
