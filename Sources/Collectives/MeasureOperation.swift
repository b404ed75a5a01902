/// Measures the delay and the bandwidth between all ranks.
struct MeasureOperation: GroupOperation {
    let result: Monitor<LinkSpeed?>

    /// Two exchanges make a round trip; the first round is for warming up.
    private static let rounds = 20
    private static let transfers = 3
    private static let transferBytes = 4 << 20

    func begin(_ lane: OperationLane, ticket: Int) throws {
        let mesh = lane.mesh
        guard !mesh.peers.isEmpty else { return }
        let exchanges = try (0..<2 * (Self.rounds + 1)).map { index in
            try Exchange(mesh, bytes: 1, slot: .measure(index))
        }
        var laps: [Double] = []
        for round in 0...Self.rounds {
            let start = Clock.now
            try exchanges[2 * round].run()
            try exchanges[2 * round + 1].run()
            laps.append(Clock.now - start)
        }
        let transfers = try (0..<Self.transfers).map { index in
            let slot = Slot.measure(exchanges.count + index)
            return try Exchange(mesh, bytes: Self.transferBytes, slot: slot)
        }
        // Every rank awaits the transfers before one begins.
        let gate = try Exchange(mesh, bytes: 1, slot: .measure(exchanges.count + transfers.count))
        try gate.run()
        let seconds = try transfers.map { transfer in
            let start = Clock.now
            try transfer.run()
            return Clock.now - start
        }
        let speed = LinkSpeed(
            latency: median(Array(laps.dropFirst())),
            bandwidth: Double(Self.transferBytes * mesh.peers.count) / median(seconds)
        )
        result.change { $0 = speed }
    }

    func finish(_ lane: OperationLane, ticket: Int) throws {}

    private func median(_ values: [Double]) -> Double {
        max(values.sorted()[values.count / 2], .leastNormalMagnitude)
    }
}

/// One message from every rank to every other.
private struct Exchange {
    private let mesh: GlooMesh
    private let slot: Slot
    private let bytes: Int
    private let buffer: GlooBuffer

    /// Makes the exchange; what comes is awaited from now on.
    init(_ mesh: GlooMesh, bytes: Int, slot: Slot) throws {
        self.mesh = mesh
        self.slot = slot
        self.bytes = bytes
        buffer = try GlooBuffer(mesh, byteCount: bytes * mesh.size)
        for peer in mesh.peers {
            try buffer.receive(part(peer), from: peer, slot: slot)
        }
    }

    func run() throws {
        for peer in mesh.peers {
            try buffer.send(part(mesh.rank), to: peer, slot: slot)
        }
        try buffer.waitReceived(mesh.peers.count)
        try buffer.waitSent(mesh.peers.count)
    }

    private func part(_ rank: Int) -> Range<Int> {
        rank * bytes..<(rank + 1) * bytes
    }
}
