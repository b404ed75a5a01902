import Crypto
package import FoundationEssentials
import Synchronization

/// One process's link to the others of its group: what sums their values, and tells who is gone.
///
/// Open a link, give `address` to every other rank, and connect with the addresses of all. A link
/// fails once, for a reason that names the rank where one is at fault; then every call returns, or
/// throws that reason. A link that failed is closed and another opened.
package final class GroupLink: Sendable {
    package let rank: Int
    package let size: Int
    /// What the other ranks need to connect to this one.
    package let address: Data

    private let mesh: GlooMesh
    private let health: LinkHealth
    private let silence: Double
    /// What there is between `connect` and `close`.
    private let connected = Mutex<Connected?>(nil)

    private struct Connected {
        let messages: MessageChannel
        let watch: LinkWatch
        let pipeline: OperationPipeline
    }

    /// Opens a link; it awaits its peers from then on.
    ///
    /// - Parameters:
    ///   - rank: This process's place, from 0 on.
    ///   - size: How many ranks there are.
    ///   - interface: The name of an interface of this machine or one of its addresses, over which
    ///     the peers reach it.
    ///   - silence: After how many seconds without a sign of life a rank counts as lost.
    /// - Throws: `LinkError`.
    package init(
        rank: Int,
        size: Int,
        interface: String,
        silence: Double = 8
    ) throws(LinkError) {
        precondition((0..<size).contains(rank) && size <= 1 << 16, "a rank is one of its group")
        precondition(silence > 0, "a rank may be silent for some time")
        let local = try NetworkInterface.named(interface).address
        do {
            let mesh = try GlooMesh(rank: rank, size: size, address: local)
            let endpoints = try (0..<size).filter { $0 != rank }.map { peer throws(GlooError) in
                try mesh.listening(to: peer)
            }
            self.mesh = mesh
            address = LinkAddress(rank: rank, endpoints: endpoints).data
        } catch {
            throw LinkError.notListening(reason: "\(local): \(error)")
        }
        self.rank = rank
        self.size = size
        self.silence = silence
        health = LinkHealth(mesh: mesh)
    }

    deinit {
        close()
    }

    /// A secret for `connect`: 256 random bits.
    package static func newSecret() -> Data {
        SymmetricKey(size: .bits256).withUnsafeBytes { Data($0) }
    }

    /// Why the link no longer works, or nil while all is well.
    package var failure: (any Error)? { health.failure }

    /// Connects to all other ranks, and proves to each, as each does, that it knows the secret.
    ///
    /// - Parameters:
    ///   - addresses: The addresses of all ranks, in their order.
    ///   - secret: What only the ranks of this group know.
    ///   - epoch: Tells this making of the group from its earlier ones.
    ///   - group: The group's name; group and epoch have to be the same on all ranks.
    ///   - timeout: How many seconds that may take.
    /// - Throws: `LinkError`, and the link has failed.
    package func connect(
        addresses: [Data],
        secret: Data,
        epoch: UInt64,
        group: String,
        timeout: Double
    ) throws(LinkError) {
        try health.check()
        // The rank that is waited for.
        let waiting = Monitor(rank)
        let isDone = Monitor(false)
        let deadline = Clock.now + timeout
        let timer = LinkThread { [health] in
            if isDone.wait(until: deadline, { $0 ? true : nil }) == nil {
                health.fail(.timedOut(rank: waiting.read(\.self), seconds: timeout))
            }
        }
        defer { timer.join() }
        defer { isDone.change { $0 = true } }
        do {
            let peers = try read(addresses)
            let secret = SymmetricKey(data: secret)
            try SecretProof(secret: secret, group: group, epoch: epoch).exchange(over: mesh) {
                [rank, mesh, health] peer in
                do {
                    try mesh.connect(to: peer, at: peers[peer].endpoint(for: rank))
                } catch {
                    health.fail(.notConnected(rank: peer, reason: "\(error)"))
                    throw error
                }
            } waiting: { peer in
                waiting.change { $0 = peer }
            }
            try begin()
            // From here on what each rank tells the others is awaited by all.
            try run(BarrierOperation())
        } catch {
            let peer = waiting.read(\.self)
            health.fail(error as? LinkError ?? .notConnected(rank: peer, reason: "\(error)"))
        }
        try health.check()
    }

    /// Closes the link, as often as one likes; calls that wait return.
    package func close() {
        health.fail(.closed)
        // Until it has stopped, who waits for an operation waits for its memory to be left alone.
        let parts = connected.withLock { $0 }
        parts?.watch.stop()
        parts?.pipeline.stop()
        connected.withLock { $0 = nil }
    }

    /// What the link has done so far.
    package var statistics: LinkStatistics {
        var statistics = connected.withLock { $0 }?.pipeline.statistics ?? LinkStatistics()
        statistics.bytesSent = mesh.bytesSent
        return statistics
    }

    /// Sends a message from rank 0 to all others.
    ///
    /// A short message goes out at once; a long one, and any that comes before the last was
    /// received, waits for the others to receive.
    /// - Parameter message: At most 1 GiB.
    /// - Throws: `LinkError` when the link has failed.
    package func post(_ message: [UInt8]) throws(LinkError) {
        try messages().post(message)
    }

    /// Waits for the next message of rank 0, as long as the peers live.
    ///
    /// - Throws: `LinkError` when the link has failed.
    package func receive() throws(LinkError) -> [UInt8] {
        try messages().receive()
    }

    /// Gives no more signs of life: what a test does to a rank that is to seem dead.
    func pauseSigns() {
        connected.withLock { $0 }?.watch.pause()
    }

    /// Begins an operation; on a link that is not connected it is over.
    func begin(_ operation: any GroupOperation) -> Int {
        connected.withLock { $0 }?.pipeline.begin(operation) ?? -1
    }

    /// Waits until an operation is over.
    func wait(for ticket: Int) {
        connected.withLock { $0 }?.pipeline.wait(ticket)
    }

    /// Runs an operation to its end.
    ///
    /// - Throws: `LinkError` when the link has failed.
    func run(_ operation: any GroupOperation) throws(LinkError) {
        let ticket = begin(operation)
        wait(for: ticket)
        try health.check()
    }

    private func read(_ addresses: [Data]) throws(LinkError) -> [LinkAddress] {
        guard addresses.count == size else {
            throw LinkError.system(reason: "a group of \(size) has \(addresses.count) addresses")
        }
        return try (0..<size).map { peer throws(LinkError) in
            try LinkAddress(addresses[peer], of: peer, size: size)
        }
    }

    private func begin() throws {
        let parts = Connected(
            messages: try MessageChannel(mesh: mesh, health: health),
            watch: try LinkWatch(mesh: mesh, health: health, silence: silence),
            pipeline: OperationPipeline(mesh: mesh, health: health)
        )
        connected.withLock { $0 = parts }
    }

    private func messages() throws(LinkError) -> MessageChannel {
        try health.check()
        guard let messages = connected.withLock({ $0 })?.messages else {
            throw .system(reason: "the link is not connected")
        }
        return messages
    }
}
