import FoundationEssentials
import Tensors
import Testing

@testable import Collectives

@Suite("Links that fail", .serialized, .timeLimit(.minutes(2)))
struct FailureTests {
    @Test("a rank with another secret is named by all others")
    func wrongSecret() throws {
        let links = try LinkGroup.open(size: 3)
        defer { links.forEach { $0.close() } }
        let results = onThreads(3) { rank in
            let secret = rank == 1 ? Data("another".utf8) : LinkGroup.secret
            try LinkGroup.connect(links[rank], links, secret: secret)
        }
        #expect(linkError(results[0]) == .wrongProof(rank: 1))
        #expect(linkError(results[1]) == .wrongProof(rank: 0))
        #expect(linkError(results[2]) == .wrongProof(rank: 1))
        #expect(LinkError.wrongProof(rank: 1).description.contains("rank 1"))
    }

    @Test("a rank of another epoch is named")
    func anotherEpoch() throws {
        let links = try LinkGroup.open(size: 2)
        defer { links.forEach { $0.close() } }
        let results = onThreads(2) { rank in
            try LinkGroup.connect(links[rank], links, epoch: UInt64(rank))
        }
        #expect(linkError(results[0]) == .wrongProof(rank: 1))
    }

    @Test("an address that is none is refused by its rank")
    func malformedAddresses() throws {
        let links = try LinkGroup.open(size: 2)
        defer { links.forEach { $0.close() } }
        let good = links[1].address
        var other = good
        other[0] = 9
        var family = good
        family[5] = 7
        let shortened = (0..<good.count).map { good.prefix($0) }
        for bad in shortened + [other, family, good + [0], links[0].address, Data(count: 300)] {
            #expect(throws: LinkError.self) {
                _ = try LinkAddress(Data(bad), of: 1, size: 2)
            }
        }
        #expect(throws: LinkError.malformedAddress(rank: 1, reason: "ends too early")) {
            try links[0].connect(
                addresses: [links[0].address, Data()],
                secret: LinkGroup.secret,
                epoch: 1,
                group: "test",
                timeout: 5
            )
        }
        let read = try LinkAddress(good, of: 1, size: 2)
        #expect(read.data == good)
    }

    @Test("a rank that does not come is named when the time is over")
    func absentRank() throws {
        let links = try LinkGroup.open(size: 3)
        defer { links.forEach { $0.close() } }
        let start = Clock.now
        let results = onThreads(2) { rank in
            try LinkGroup.connect(links[rank], links, timeout: 0.5)
        }
        #expect(Clock.now - start < 2)
        for result in results {
            switch linkError(result) {
            case .timedOut(let rank, let seconds): #expect(rank == 2 && seconds == 0.5)
            case .lost, .left, .notConnected: break
            case let other: Issue.record("\(String(describing: other))")
            }
        }
    }

    @Test("an address nobody is at any more ends the connecting")
    func deadAddress() throws {
        let links = try LinkGroup.open(size: 2)
        links[1].close()
        defer { links[0].close() }
        let start = Clock.now
        #expect(throws: LinkError.self) {
            try LinkGroup.connect(links[0], links, timeout: 0.5)
        }
        #expect(Clock.now - start < 2)
    }

    @Test("a rank that closes in the middle of a sum is an error on all others", arguments: 0..<3)
    func closing(rank gone: Int) throws {
        try LinkGroup.run(size: 3) { group in
            let elapsed = try group.onRanks { link in
                let values = (0..<6).map { _ in Tensor(rows: 512, columns: 1024) }
                if link.rank == gone {
                    _ = link.sum(values[0], in: .float32)
                    link.close()
                    return 0.0
                }
                let start = Clock.now
                for ticket in values.map({ link.sum($0, in: .float32) }) {
                    link.wait(ticket)
                }
                return Clock.now - start
            }
            #expect(elapsed.allSatisfy { $0 < 2 })
            for link in group.links where link.rank != gone {
                // What it says on its way out may be cut off by what it was sending.
                let failure = try #require(link.failure as? LinkError)
                #expect([.left(rank: gone), .lost(rank: gone)].contains(failure))
                #expect(throws: failure) { try link.barrier() }
            }
        }
    }

    @Test("a rank that gives no more signs is named by all others")
    func silence() throws {
        try LinkGroup.run(size: 3, silence: 1) { group in
            group.links[2].pauseSigns()
            let errors = onThreads(3) { rank in
                let link = group.links[rank]
                if rank == 2 {
                    try? link.barrier()
                    return
                }
                try link.barrier()
                try link.barrier()
            }
            #expect(linkError(errors[0]) == .silent(rank: 2, seconds: 1))
            #expect(linkError(errors[1]) == .silent(rank: 2, seconds: 1))
            let error = LinkError.silent(rank: 2, seconds: 8)
            #expect(error.description == "rank 2 was silent for 8 s")
        }
    }

    @Test("a link is closed as often as one likes, connected or not")
    func closedTwice() throws {
        let open = try LinkGroup.open(size: 2)
        open[0].close()
        open[0].close()
        try LinkGroup.run(size: 2) { group in
            group.close()
            group.close()
            let values = Tensor(rows: 4, columns: 4)
            group.links[0].wait(group.links[0].sum(values, in: .float32))
            group.links[0].gather(values, columns: [0..<2, 2..<4])
            #expect(group.links[0].failure as? LinkError == .closed)
            #expect(throws: LinkError.left(rank: 0)) { try group.links[1].receive() }
        }
        open[1].close()
    }

    @Test("closed links leave no thread and no file descriptor behind")
    func leaks() throws {
        try cycle()
        let before = try (entries("/proc/self/fd"), entries("/proc/self/task"))
        for _ in 0..<100 {
            try cycle()
        }
        let after = try (entries("/proc/self/fd"), entries("/proc/self/task"))
        // Other suites run beside this one; what a link left would be left a hundred times.
        #expect(after.0 - before.0 < 100, "\(before.0) descriptors became \(after.0)")
        #expect(after.1 - before.1 < 100, "\(before.1) threads became \(after.1)")
    }

    private func cycle() throws {
        try LinkGroup.run(size: 2) { group in
            _ = try group.onRanks { link in
                let values = Tensor(rows: 10, columns: 10)
                link.wait(link.sum(values, in: .bfloat16))
            }
        }
    }

    private func entries(_ folder: String) throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: folder).count
    }
}
