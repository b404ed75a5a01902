import Crypto
import FoundationEssentials

/// Proves to each peer that this rank knows the group's secret, and asks the same of it.
///
/// Both sides of a connection send a number that they use once, and then the secret's HMAC-SHA256
/// over group, epoch, both ranks and both numbers. Nobody judges before all proofs are in, so that
/// every honest rank names the wrong one instead of one that gave up.
struct SecretProof {
    let secret: SymmetricKey
    let group: String
    let epoch: UInt64

    private static let domain = "dreamfarm group link 1"
    private static let nonceBytes = 32
    private static let proofBytes = SHA256.byteCount

    /// Exchanges numbers and proofs with all peers; `connect` makes the connection to one, and
    /// `waiting` is told of the rank that is waited for.
    ///
    /// The connections are made at once, and each carries this rank's number as soon as it stands:
    /// a rank that is late is the only one that is waited for.
    ///
    /// - Throws: `LinkError.wrongProof`, or what the connections throw.
    func exchange(
        over mesh: GlooMesh,
        connect: @escaping @Sendable (Int) throws -> Void,
        waiting: (Int) -> Void
    ) throws {
        let nonce = SymmetricKey(size: .bits256).withUnsafeBytes { Array($0) }
        let nonces = Monitor([Int: Exchange]())
        let connecting = mesh.peers.map { peer in
            let thread = LinkThread {
                // Who connects tells of an error; what comes after finds no connection.
                guard (try? connect(peer)) != nil,
                    let exchange = try? Exchange(mesh, Self.nonceBytes, with: peer, slot: .nonce),
                    (try? exchange.send(nonce)) != nil
                else { return }
                nonces.change { $0[peer] = exchange }
            }
            return (peer, thread)
        }
        for (peer, thread) in connecting {
            waiting(peer)
            thread.join()
        }
        let exchanges = nonces.read(\.self)
        guard exchanges.count == mesh.peers.count else { throw GlooError.aborted }
        let proofs = try exchanges.mapValues { exchange in
            try Exchange(mesh, Self.proofBytes, with: exchange.peer, slot: .proof)
        }
        var theirs: [Int: [UInt8]] = [:]
        for peer in mesh.peers {
            waiting(peer)
            let their = try exchanges[peer]?.receive() ?? []
            theirs[peer] = their
            try proofs[peer]?.send(Array(proof(from: mesh.rank, to: peer, nonce, their)))
        }
        var wrong: [Int] = []
        for peer in mesh.peers.sorted() {
            waiting(peer)
            let proof = try proofs[peer]?.receive() ?? []
            let isRight = HMAC<SHA256>.isValidAuthenticationCode(
                proof,
                authenticating: message(from: peer, to: mesh.rank, theirs[peer] ?? [], nonce),
                using: secret
            )
            if !isRight {
                wrong.append(peer)
            }
        }
        // The others have what they need of this rank before it gives up.
        for peer in mesh.peers {
            waiting(peer)
            try proofs[peer]?.finish()
        }
        if let rank = wrong.first {
            throw LinkError.wrongProof(rank: rank)
        }
    }

    private func proof(
        from: Int,
        to: Int,
        _ fromNonce: [UInt8],
        _ toNonce: [UInt8]
    ) -> HMAC<SHA256>.MAC {
        HMAC<SHA256>.authenticationCode(
            for: message(from: from, to: to, fromNonce, toNonce),
            using: secret
        )
    }

    /// What is authenticated; every part of variable length has its length before it.
    private func message(
        from: Int,
        to: Int,
        _ fromNonce: [UInt8],
        _ toNonce: [UInt8]
    ) -> [UInt8] {
        var bytes: [UInt8] = []
        for text in [Self.domain, group] {
            append(UInt64(text.utf8.count), to: &bytes)
            bytes += text.utf8
        }
        append(epoch, to: &bytes)
        append(UInt64(from), to: &bytes)
        append(UInt64(to), to: &bytes)
        return bytes + fromNonce + toNonce
    }

    private func append(_ value: UInt64, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.bigEndian) { bytes += $0 }
    }
}

/// A message of fixed length each way with one peer, whose is awaited from the start.
private struct Exchange {
    let peer: Int
    private let slot: Slot
    private let incoming: GlooBuffer
    private let outgoing: GlooBuffer

    init(_ mesh: GlooMesh, _ byteCount: Int, with peer: Int, slot: Slot) throws {
        self.peer = peer
        self.slot = slot
        incoming = try GlooBuffer(mesh, byteCount: byteCount)
        outgoing = try GlooBuffer(mesh, byteCount: byteCount)
        try incoming.receive(0..<byteCount, from: peer, slot: slot)
    }

    func send(_ bytes: [UInt8]) throws {
        outgoing.memory.copyBytes(from: bytes)
        try outgoing.send(0..<bytes.count, to: peer, slot: slot)
    }

    func receive() throws -> [UInt8] {
        try incoming.waitReceived()
        return Array(incoming.memory)
    }

    func finish() throws {
        try outgoing.waitSent()
    }
}
