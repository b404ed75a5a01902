import CGloo
import Synchronization

/// Why a call of the library ended without success.
enum GlooError: Error, CustomStringConvertible {
    case failed(String)
    case aborted

    var description: String {
        switch self {
        case .failed(let reason): reason
        case .aborted: "the connections were closed"
        }
    }
}

/// One process's connections to the other ranks of its group.
///
/// The library takes calls from every thread. That is what makes the unchecked conformance right.
final class GlooMesh: @unchecked Sendable {
    let rank: Int
    let size: Int
    fileprivate let handle: OpaquePointer
    private let sent = Atomic<Int>(0)

    /// Begins to listen at an address of this machine, once for each other rank.
    init(rank: Int, size: Int, address: String) throws(GlooError) {
        self.rank = rank
        self.size = size
        var handle: OpaquePointer?
        try check { gloo_open(&handle, $0, address, Int32(rank), Int32(size), $1) }
        guard let handle else { throw GlooError.failed("the library gave no mesh") }
        self.handle = handle
    }

    deinit {
        gloo_close(handle)
    }

    /// The other ranks, from the one behind this one on, so that not all turn to one at once.
    var peers: [Int] {
        (1..<max(size, 1)).map { (rank + $0) % size }
    }

    /// Bytes of messages that were given to the library.
    var bytesSent: Int { sent.load(ordering: .relaxed) }

    /// Where a peer's connection is awaited.
    func listening(to peer: Int) throws(GlooError) -> gloo_endpoint {
        var endpoint = gloo_endpoint()
        try check { gloo_listening(&endpoint, $0, handle, Int32(peer), $1) }
        return endpoint
    }

    /// Connects to a peer, however long it takes.
    func connect(to peer: Int, at endpoint: gloo_endpoint) throws(GlooError) {
        try check { gloo_connect($0, handle, Int32(peer), endpoint, $1) }
    }

    /// Closes every connection, and ends every wait, now and to come.
    func abort() {
        gloo_abort(handle)
    }

    fileprivate func count(sent bytes: Int) {
        sent.wrappingAdd(bytes, ordering: .relaxed)
    }
}

/// Memory that messages are sent from and received in.
///
/// Whoever posts messages takes care that no two threads use a part of the memory at once. That is
/// what makes the unchecked conformance right.
final class GlooBuffer: @unchecked Sendable {
    let memory: UnsafeMutableRawBufferPointer
    private let mesh: GlooMesh
    private let handle: OpaquePointer
    private let isOwner: Bool

    /// A buffer with zeroed memory of its own.
    convenience init(_ mesh: GlooMesh, byteCount: Int) throws(GlooError) {
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(byteCount, 1),
            alignment: 64
        )
        memory.initializeMemory(as: UInt8.self, repeating: 0)
        do {
            try self.init(mesh, over: memory, isOwner: true)
        } catch {
            memory.deallocate()
            throw error
        }
    }

    /// A buffer over memory that outlives it.
    convenience init(
        _ mesh: GlooMesh,
        over memory: UnsafeMutableRawBufferPointer
    ) throws(GlooError) {
        try self.init(mesh, over: memory, isOwner: false)
    }

    private init(
        _ mesh: GlooMesh,
        over memory: UnsafeMutableRawBufferPointer,
        isOwner: Bool
    ) throws(GlooError) {
        var handle: OpaquePointer?
        try check {
            gloo_buffer_make(&handle, $0, mesh.handle, memory.baseAddress, memory.count, $1)
        }
        guard let handle else { throw GlooError.failed("the library gave no buffer") }
        self.mesh = mesh
        self.memory = memory
        self.handle = handle
        self.isOwner = isOwner
    }

    deinit {
        gloo_buffer_free(handle)
        if isOwner {
            memory.deallocate()
        }
    }

    /// Begins to send a part, which goes out when the peer has posted its receive.
    func send(_ range: Range<Int>, to peer: Int, slot: Slot) throws(GlooError) {
        mesh.count(sent: range.count)
        try check {
            gloo_send($0, handle, Int32(peer), slot.number, range.lowerBound, range.count, $1)
        }
    }

    /// Begins to receive into a part, which may be longer than what comes.
    func receive(_ range: Range<Int>, from peer: Int, slot: Slot) throws(GlooError) {
        try check {
            gloo_receive($0, handle, Int32(peer), slot.number, range.lowerBound, range.count, $1)
        }
    }

    /// Waits until some more sends are over.
    func waitSent(_ count: Int = 1) throws(GlooError) {
        for _ in 0..<count {
            try check { gloo_wait_sent($0, handle, $1) }
        }
    }

    /// Waits until some more receives are over.
    func waitReceived(_ count: Int = 1) throws(GlooError) {
        for _ in 0..<count {
            try check { gloo_wait_received($0, handle, $1) }
        }
    }
}

/// Which messages belong together: a message goes to the receive of its slot.
struct Slot: Sendable {
    let number: UInt64

    static let nonce = Slot(kind: 1, 0)
    static let proof = Slot(kind: 2, 0)
    static let sign = Slot(kind: 3, 0)
    static let message = Slot(kind: 4, 0)

    /// The slot of a phase, 0 or 1, of an operation.
    static func operation(_ ticket: Int, phase: Int = 0) -> Slot {
        Slot(kind: 5, UInt64(ticket) << 1 | UInt64(phase))
    }

    /// The slot of a round of a measurement.
    static func measure(_ round: Int) -> Slot {
        Slot(kind: 6, UInt64(round))
    }

    private init(kind: UInt64, _ number: UInt64) {
        self.number = kind << 56 | number
    }
}

/// Runs a call of the library with room for its reason.
private func check(
    _ call: (UnsafeMutablePointer<CChar>, Int) -> gloo_status
) throws(GlooError) {
    let (status, reason) = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { room in
        guard let message = room.baseAddress else { return (GLOO_FAILED, "") }
        message.pointee = 0
        let status = call(message, room.count)
        return (status, status == GLOO_FAILED ? String(cString: message) : "")
    }
    switch status {
    case GLOO_DONE: return
    case GLOO_ABORTED: throw .aborted
    default: throw .failed(reason)
    }
}
