import Testing

@testable import Collectives

@Suite("Messages of rank 0", .serialized, .timeLimit(.minutes(2)))
struct MessageTests {
    @Test("messages of every length arrive whole and in order")
    func lengths() throws {
        let counts = [0, 1, 65_527, 65_528, 65_529, 5 << 20, 50_000_000, 3]
        try LinkGroup.run(size: 3) { group in
            let received = try group.onRanks { link in
                try counts.map { count in
                    guard link.rank > 0 else {
                        try link.post(Self.message(count))
                        return true
                    }
                    return try link.receive() == Self.message(count)
                }
            }
            #expect(received.allSatisfy { $0.allSatisfy(\.self) })
        }
    }

    @Test("a short message needs nobody who waits for it")
    func unawaited() throws {
        try LinkGroup.run(size: 2) { group in
            try group.links[0].post([1, 2, 3])
            #expect(try group.links[1].receive() == [1, 2, 3])
        }
    }

    @Test("who waits for a message learns that the peer is gone")
    func gone() throws {
        try LinkGroup.run(size: 3) { group in
            let results = onThreads(3) { rank in
                guard rank > 0 else {
                    group.links[0].close()
                    return
                }
                _ = try group.links[rank].receive()
            }
            #expect(linkError(results[1]) == .left(rank: 0))
            #expect(linkError(results[2]) == .left(rank: 0))
        }
    }

    private static func message(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { bytes, initialized in
            for index in 0..<count {
                bytes[index] = UInt8(truncatingIfNeeded: index &* 31 &+ index >> 12)
            }
            initialized = count
        }
    }
}
