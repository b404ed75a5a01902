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

    /// Exchanges numbers and proofs with all peers; `waiting` is told of the rank that is waited
    /// for.
    ///
    /// - Throws: `LinkError.wrongProof`, or what the connections throw.
    func exchange(over mesh: GlooMesh, waiting: (Int) -> Void) throws {
        let nonces = try Exchange(mesh, bytes: Self.nonceBytes, slot: .nonce)
        let proofs = try Exchange(mesh, bytes: Self.proofBytes, slot: .proof)
        let nonce = SymmetricKey(size: .bits256).withUnsafeBytes { Array($0) }
        for peer in mesh.peers {
            try nonces.send(nonce, to: peer)
        }
        var theirs: [Int: [UInt8]] = [:]
        for peer in mesh.peers {
            waiting(peer)
            let their = try nonces.receive(from: peer)
            theirs[peer] = their
            let proof = self.proof(from: mesh.rank, to: peer, nonce, their)
            try proofs.send(Array(proof), to: peer)
        }
        var wrong: [Int] = []
        for peer in mesh.peers.sorted() {
            waiting(peer)
            let proof = try proofs.receive(from: peer)
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
            try proofs.finish(with: peer)
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

/// A message of fixed length each way with every peer, received from the start.
private struct Exchange {
    private var buffers: [Int: (incoming: GlooBuffer, outgoing: GlooBuffer)] = [:]
    private let slot: Slot

    init(_ mesh: GlooMesh, bytes: Int, slot: Slot) throws {
        self.slot = slot
        for peer in mesh.peers {
            let incoming = try GlooBuffer(mesh, byteCount: bytes)
            try incoming.receive(0..<bytes, from: peer, slot: slot)
            buffers[peer] = (incoming, try GlooBuffer(mesh, byteCount: bytes))
        }
    }

    func send(_ bytes: [UInt8], to peer: Int) throws {
        guard let outgoing = buffers[peer]?.outgoing else { return }
        outgoing.memory.copyBytes(from: bytes)
        try outgoing.send(0..<bytes.count, to: peer, slot: slot)
    }

    func receive(from peer: Int) throws -> [UInt8] {
        guard let incoming = buffers[peer]?.incoming else { return [] }
        try incoming.waitReceived()
        return Array(incoming.memory)
    }

    func finish(with peer: Int) throws {
        try buffers[peer]?.outgoing.waitSent()
    }
}
