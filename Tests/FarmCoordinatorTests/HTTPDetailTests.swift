import FarmModel
import Testing

@testable import FarmCoordinator

@Suite struct HTTPDetailTests {
    @Test(
        "a range of bytes is read as RFC 9110 says",
        arguments: [
            ("bytes=0-9", 0..<10), ("bytes=90-", 90..<100), ("bytes=-5", 95..<100),
            ("bytes=95-200", 95..<100), ("bytes=-200", 0..<100),
            ("bytes=0-9223372036854775807", 0..<100),
            ("bytes=100-", 100..<100),
        ] as [(String, Range<Int64>)]
    )
    func range(text: String, range: Range<Int64>) {
        #expect(ByteRange.parse(text, size: 100) == range)
    }

    @Test(
        "what is no single range is ignored",
        arguments: ["bytes=0-1,3-4", "items=0-1", "bytes=", "bytes=5", "bytes=9-3", "bytes=a-b"]
    )
    func noRange(text: String) {
        #expect(ByteRange.parse(text, size: 100) == nil)
    }

    @Test("an event has its id, its name and a line of data for each line")
    func event() {
        #expect(
            EventStream.event("step", data: "{}") == "event: step\ndata: {}\n\n"
        )
        #expect(
            EventStream.event("job.started", data: "a\nb", id: 3)
                == "id: 3\nevent: job.started\ndata: a\ndata: b\n\n"
        )
    }

    @Test(
        "each role may do what the ones before it may; a worker's is its own",
        arguments: TokenRole.allCases,
        TokenRole.allCases
    )
    func roles(role: TokenRole, least: TokenRole) {
        let ladder: [TokenRole] = [.viewer, .submitter, .operator, .admin]
        let expected: Bool
        if least == .worker {
            expected = role == .worker || role == .admin
        } else if let height = ladder.firstIndex(of: role),
            let needed = ladder.firstIndex(of: least)
        {
            expected = height >= needed
        } else {
            expected = false
        }
        #expect(role.includes(least) == expected)
        let caller = Caller(owner: "o", role: role)
        #expect(RouteAccess.least(least).admits(caller) == expected)
        #expect(RouteAccess.workersAnd(least).admits(caller) == (expected || role == .worker))
        #expect(RouteAccess.token.admits(caller))
        #expect(!RouteAccess.least(least).admits(nil))
    }

    @Test(
        "a listener on loopback is addressed by loopback's names alone",
        arguments: [
            ("127.0.0.1:8470", true), ("localhost:1", true), ("[::1]:8470", true),
            ("LOCALHOST", true), ("evil.example:8470", false), ("evil.example", false),
        ]
    )
    func hosts(authority: String, isAdmitted: Bool) {
        #expect(AccessPolicy(listeningOn: "127.0.0.1").admits(authority: authority) == isAdmitted)
        #expect(AccessPolicy(listeningOn: "10.0.0.1").admits(authority: authority))
    }

    @Test("tokens are asked for once in their time, and anew when told to")
    func tokens() async throws {
        let counter = Counter()
        let tokens = FarmTokens(admin: "the-admin", lifetime: .seconds(3600)) { secret in
            await counter.count()
            return secret == "known" ? Caller(owner: "o", role: .viewer) : nil
        }
        #expect(try await tokens.caller(bearing: "the-admin")?.role == .admin)
        #expect(await counter.value == 0)
        for _ in 0..<2 {
            #expect(try await tokens.caller(bearing: "known")?.owner == "o")
            #expect(try await tokens.caller(bearing: "unknown") == nil)
        }
        #expect(await counter.value == 2)
        tokens.forget()
        _ = try await tokens.caller(bearing: "known")
        #expect(await counter.value == 3)
    }

    private actor Counter {
        var value = 0
        func count() { value += 1 }
    }
}
