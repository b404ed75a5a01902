import Synchronization

/// Messages of bytes from rank 0 to all others.
///
/// A message begins with its length and its first bytes, whose receive is always posted: a short
/// one arrives without the sender's waiting for anybody. The rest follows in pieces.
final class MessageChannel: Sendable {
    static let longestMessage = 1 << 30
    private static let headBytes = 64 << 10
    private static let lengthBytes = MemoryLayout<UInt64>.size
    private static var inlineBytes: Int { headBytes - lengthBytes }

    private let mesh: GlooMesh
    private let health: LinkHealth
    /// The head of the message, and the turn at it: one message at a time.
    private let head: Mutex<GlooBuffer>

    init(mesh: GlooMesh, health: LinkHealth) throws(GlooError) {
        self.mesh = mesh
        self.health = health
        let head = try GlooBuffer(mesh, byteCount: Self.headBytes)
        if mesh.rank != 0 {
            try head.receive(0..<Self.headBytes, from: 0, slot: .message)
        }
        self.head = Mutex(head)
    }

    /// Sends a message to every other rank; returns when it is on its way to all.
    func post(_ message: [UInt8]) throws(LinkError) {
        precondition(mesh.rank == 0, "rank 0 gives the messages")
        guard message.count <= Self.longestMessage else {
            throw .system(reason: "a message of \(message.count) bytes is longer than 1 GiB")
        }
        try health.explaining {
            try head.withLock { head in
                let first = message.prefix(Self.inlineBytes)
                head.memory.storeBytes(of: UInt64(message.count).littleEndian, as: UInt64.self)
                UnsafeMutableRawBufferPointer(rebasing: head.memory[Self.lengthBytes...])
                    .copyBytes(from: first)
                for peer in mesh.peers {
                    let bytes = 0..<Self.lengthBytes + first.count
                    try head.send(bytes, to: peer, slot: .message)
                }
                if first.count < message.count {
                    try message.withUnsafeBytes { bytes in
                        // Nothing is received in this memory.
                        let buffer = try GlooBuffer(
                            mesh,
                            over: UnsafeMutableRawBufferPointer(mutating: bytes)
                        )
                        try Pieces(buffer, slot: .message)
                            .send(first.count..<message.count, to: mesh.peers)
                    }
                }
                try head.waitSent(mesh.peers.count)
            }
        }
    }

    /// Waits for the next message, as long as the link lives.
    func receive() throws(LinkError) -> [UInt8] {
        precondition(mesh.rank != 0, "rank 0 gives the messages")
        return try health.explaining {
            try head.withLock { head in
                try head.waitReceived()
                let length = UInt64(littleEndian: head.memory.load(as: UInt64.self))
                guard length <= Self.longestMessage else {
                    let reason = "announced a message of \(length) bytes"
                    throw LinkError.malformedMessage(rank: 0, reason: reason)
                }
                let message = try message(Int(length), head: head)
                try head.receive(0..<Self.headBytes, from: 0, slot: .message)
                return message
            }
        }
    }

    private func message(_ count: Int, head: GlooBuffer) throws -> [UInt8] {
        let first = min(count, Self.inlineBytes)
        return try [UInt8](unsafeUninitializedCapacity: count) { bytes, initialized in
            let memory = UnsafeMutableRawBufferPointer(bytes)
            let inlined = Self.lengthBytes..<Self.lengthBytes + first
            memory.copyMemory(from: UnsafeRawBufferPointer(rebasing: head.memory[inlined]))
            if first < count {
                let room = UnsafeMutableRawBufferPointer(rebasing: memory[..<count])
                let buffer = try GlooBuffer(mesh, over: room)
                try Pieces(buffer, slot: .message).receive(first..<count, from: 0)
            }
            initialized = count
        }
    }
}
