package import Collectives
import FoundationEssentials
import Synchronization

/// A group whose members are threads of this process, linked over the loopback: what a farm's group
/// computes, on one machine.
package final class GroupThreads: Sendable {
    /// The members' links, by rank.
    package let links: [GroupLink]
    private let threads: Mutex<[MemberThread]>

    /// Links so many members.
    ///
    /// - Throws: `LinkError`.
    package init(ranks: Int) throws {
        let links = try (0..<ranks).map {
            try GroupLink(rank: $0, size: ranks, interface: "127.0.0.1")
        }
        self.links = links
        threads = Mutex([])
        let secret = GroupLink.newSecret()
        let addresses = links.map(\.address)
        let connecting = links.map { link in
            MemberThread {
                try link.connect(
                    addresses: addresses,
                    secret: secret,
                    epoch: 1,
                    group: "threads",
                    timeout: 30
                )
            }
        }
        for thread in connecting { try thread.join() }
    }

    deinit {
        for link in links { link.close() }
    }

    /// Runs the members that are not the leader, each on a thread of its own, until the group is
    /// closed.
    ///
    /// - Parameter body: Reads a rank's part, and follows the leader over its link.
    package func start(_ body: @escaping @Sendable (_ rank: Int, GroupLink) throws -> Void) {
        for rank in links.indices.dropFirst() {
            let link = links[rank]
            let thread = MemberThread {
                defer { link.close() }
                do {
                    try body(rank, link)
                } catch is LinkError {}
            }
            threads.withLock { $0.append(thread) }
        }
    }

    /// Closes the group.
    ///
    /// - Throws: What ended a member before.
    package func close() throws {
        links[0].close()
        for thread in threads.withLock({ $0 }) { try thread.join() }
    }
}

/// A thread that may fail.
private final class MemberThread: Sendable {
    private let result = Mutex<Result<Void, any Error>>(.success(()))
    private let thread: Mutex<LinkThread?>

    init(_ body: @escaping @Sendable () throws -> Void) {
        thread = Mutex(nil)
        let started = LinkThread { [self] in
            let outcome = Result { try body() }
            result.withLock { $0 = outcome }
        }
        thread.withLock { $0 = started }
    }

    /// Waits for its end.
    func join() throws {
        let started = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        started?.join()
        try result.withLock { $0 }.get()
    }
}
