/// Knows whether the peers live: every second each rank gives each peer a sign.
///
/// A thread a peer waits for its signs, and so sees at once when the connection breaks: the
/// library ends only those waits whose message had not begun. One more gives the own signs and
/// notes who was silent for too long.
final class LinkWatch: Sendable {
    private struct State {
        var isStopped = false
        var isPaused = false
        /// When each rank gave its last sign.
        var heard: [Double]
    }

    private let mesh: GlooMesh
    private let health: LinkHealth
    private let silence: Double
    private let state: Monitor<State>
    private let outgoing: GlooBuffer
    private let farewell: GlooBuffer
    private let threads = Monitor([LinkThread]())

    private static let slowestBeat = 1.0

    init(mesh: GlooMesh, health: LinkHealth, silence: Double) throws(GlooError) {
        self.mesh = mesh
        self.health = health
        self.silence = silence
        state = Monitor(State(heard: Array(repeating: Clock.now, count: mesh.size)))
        outgoing = try GlooBuffer(mesh, byteCount: LinkSign.byteCount)
        outgoing.memory.copyBytes(from: LinkSign.alive.bytes)
        farewell = try GlooBuffer(mesh, byteCount: LinkSign.byteCount)
        let incoming = try mesh.peers.map { peer throws(GlooError) in
            (peer, try SignReader(mesh, from: peer))
        }
        health.onFailure { [self] reason in sayFarewell(reason) }
        threads.change { threads in
            threads = incoming.map { peer, reader in
                LinkThread { [self] in listen(to: peer, reader) }
            }
            threads.append(LinkThread { [self] in beat() })
        }
    }

    /// Joins the threads; the link has to have ended.
    func stop() {
        state.change { $0.isStopped = true }
        let joined = threads.change { threads in
            defer { threads = [] }
            return threads
        }
        for thread in joined {
            thread.join()
        }
        health.onFailure { _ in }
    }

    /// Gives no more signs: what a test does to a rank that is to seem dead.
    func pause() {
        state.change { $0.isPaused = true }
    }

    private func listen(to peer: Int, _ reader: SignReader) {
        while true {
            guard let sign = reader.next() else {
                health.fail(.lost(rank: peer))
                return
            }
            if let reason = sign.reason(from: peer, own: mesh.rank) {
                health.fail(reason)
                return
            }
            state.change { $0.heard[peer] = Clock.now }
        }
    }

    private func beat() {
        let interval = min(Self.slowestBeat, silence / 4)
        var last = Clock.now
        while health.failure == nil {
            if !state.read(\.isPaused) {
                for peer in mesh.peers {
                    // A connection that broke is its listener's to tell.
                    try? outgoing.send(0..<LinkSign.byteCount, to: peer, slot: .sign)
                }
            }
            let isStopped = state.wait(until: last + interval) { $0.isStopped ? true : nil }
            guard isStopped == nil else { return }
            let now = Clock.now
            let stoodStill = now - last > interval + silence / 4
            last = now
            let silent = state.change { state -> Int? in
                if stoodStill {
                    // This process was stopped itself: its peers get their time anew.
                    state.heard = state.heard.map { _ in now }
                }
                let longest = mesh.peers.min { state.heard[$0] < state.heard[$1] }
                return longest.flatMap { now - state.heard[$0] >= silence ? $0 : nil }
            }
            if let silent {
                health.fail(.silent(rank: silent, seconds: silence))
            }
        }
    }

    private func sayFarewell(_ reason: LinkError) {
        farewell.memory.copyBytes(from: LinkSign(reason, of: mesh.rank).bytes)
        for peer in mesh.peers {
            // To a peer that is gone there is nothing to say.
            try? farewell.send(0..<LinkSign.byteCount, to: peer, slot: .sign)
        }
    }
}

/// Reads a peer's signs, the next but one of which is awaited already.
private final class SignReader: Sendable {
    private let peer: Int
    private let buffer: GlooBuffer
    private let turn = Monitor(0)

    init(_ mesh: GlooMesh, from peer: Int) throws(GlooError) {
        self.peer = peer
        buffer = try GlooBuffer(mesh, byteCount: 2 * LinkSign.byteCount)
        try receive(turn: 0)
        try receive(turn: 1)
    }

    /// Waits for the next sign; nil when there will be none.
    ///
    /// A broken connection is told of before a sign that had come: what the peer said last is
    /// looked for in the memory, which nobody writes to then.
    func next() -> LinkSign? {
        let turn = self.turn.change { turn in
            defer { turn = 1 - turn }
            return turn
        }
        do {
            try buffer.waitReceived()
            let sign = take(turn)
            if sign == .alive {
                try receive(turn: turn)
            }
            return sign
        } catch {
            return [turn, 1 - turn].lazy.compactMap(take).first { $0 != .alive }
        }
    }

    /// Reads a sign, and leaves none in its place.
    private func take(_ turn: Int) -> LinkSign? {
        let memory = UnsafeMutableRawBufferPointer(rebasing: buffer.memory[range(turn)])
        defer { memory.initializeMemory(as: UInt8.self, repeating: 0) }
        return LinkSign(UnsafeRawBufferPointer(memory))
    }

    private func receive(turn: Int) throws(GlooError) {
        try buffer.receive(range(turn), from: peer, slot: .sign)
    }

    private func range(_ turn: Int) -> Range<Int> {
        turn * LinkSign.byteCount..<(turn + 1) * LinkSign.byteCount
    }
}
