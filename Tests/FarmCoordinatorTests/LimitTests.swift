import FarmModel
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import NIOCore
import NIOEmbedded
import NIOHTTPTypes
import Synchronization
import TestSupport
import Testing

@testable import FarmCoordinator

@Suite struct RequestMeterTests {
    private let start = ContinuousClock.now

    @Test("a burst is let in at once, and after it as many as time brings")
    func rate() throws {
        let meter = RequestMeter<String>(perSecond: 2, burst: 3)
        for _ in 0..<3 { try meter.begin("a", at: start) }
        let excess = #expect(throws: RequestExcess.self) { try meter.begin("a", at: start) }
        #expect(excess?.retryAfter == 0.5)
        try meter.begin("b", at: start)
        #expect(throws: RequestExcess.self) {
            try meter.begin("a", at: start + .milliseconds(400))
        }
        try meter.begin("a", at: start + .milliseconds(600))
        #expect(throws: RequestExcess.self) {
            try meter.begin("a", at: start + .milliseconds(700))
        }
        for _ in 0..<3 { try meter.begin("a", at: start + .seconds(3600)) }
    }

    @Test("so many are under way at one time, and one that ends makes room")
    func underWay() throws {
        let meter = RequestMeter<String>(perSecond: 1000, burst: 1000, underWay: 2)
        for _ in 0..<2 { try meter.begin("a", at: start) }
        #expect(throws: RequestExcess.self) { try meter.begin("a", at: start) }
        meter.end("a")
        try meter.begin("a", at: start)
    }

    @Test("what is only counted closes the door when there was too much of it")
    func counted() throws {
        let meter = RequestMeter<String>(perSecond: 1, burst: 2)
        for _ in 0..<2 {
            try meter.check("a", at: start)
            meter.count("a", at: start)
        }
        #expect(throws: RequestExcess.self) { try meter.check("a", at: start) }
        try meter.check("a", at: start + .seconds(1))
    }

    @Test("keys that are quiet again are forgotten, and those that are not are kept")
    func forgotten() throws {
        let meter = RequestMeter<Int>(perSecond: 1, burst: 1)
        try meter.begin(-1, at: start)
        for key in 0..<50_000 {
            try meter.begin(key, at: start + .seconds(key))
            meter.end(key)
        }
        #expect(meter.count <= 10_001)
        #expect(throws: RequestExcess.self) { try meter.begin(-1, at: start) }
    }
}

@Suite(.database) struct RequestLimitTests {
    @Test("a token that asks too often is told to wait; workers and admins are not counted")
    func tooMany() async throws {
        var settings = CoordinatorAPISettings()
        settings.blobReserve = 0
        settings.requests.perSecond = 0.01
        settings.requests.burstSeconds = 300
        try await TestFarm.withAPI(settings: settings) { farm in
            let viewer = try await farm.token("alice", .viewer)
            for _ in 0..<3 {
                #expect(try await farm.send(.get, "/v1/jobs", as: viewer).status == .ok)
            }
            let refused = try await farm.send(.get, "/v1/jobs", as: viewer)
            #expect(refused.status == .tooManyRequests)
            let wait = try #require(refused.headers[.retryAfter].flatMap(Int.init))
            #expect((90...101).contains(wait))
            #expect(try await farm.problem(.get, "/v1/jobs", token: viewer) == .tooManyRequests)
            let other = try await farm.token("alice", .viewer)
            #expect(try await farm.send(.get, "/v1/jobs", as: other).status == .ok)
            let worker = try await farm.token("fleet", .worker)
            for token in [worker, TestFarm.admin] {
                for _ in 0..<5 {
                    #expect(try await farm.send(.get, "/v1/session", as: token).status == .ok)
                }
            }
        }
    }

    @Test("a request is under way until its answer is sent")
    func underWay() async throws {
        var settings = CoordinatorAPISettings()
        settings.requests.underWay = 1
        try await TestFarm.withAPI(settings: settings) { farm in
            let viewer = try await farm.token("alice", .viewer)
            for path in ["/v1/jobs", "/v1/nothing", "/v1/jobs"] {
                #expect(try await farm.send(.get, path, as: viewer).status != .tooManyRequests)
            }
        }
    }

    @Test("an address that shows unknown tokens again and again is not looked at for a while")
    func unknown() async throws {
        var settings = CoordinatorAPISettings()
        settings.requests.unknownPerSecond = 0.01
        settings.requests.burstSeconds = 300
        try await TestFarm.withAPI(live: true, settings: settings) { farm in
            let known = try await farm.token("fleet", .viewer)
            #expect(try await farm.send(.get, "/v1/jobs", as: known).status == .ok)
            for number in 0..<3 {
                let answer = try await farm.send(.get, "/v1/jobs", as: "guess-\(number)")
                #expect(answer.status == .unauthorized)
            }
            #expect(
                try await farm.send(.get, "/v1/jobs", as: "guess").status == .tooManyRequests
            )
            let signIn = try FarmJSON.encode(SessionRequest(token: "guess"))
            let refused = try await farm.send(.post, "/v1/session", signIn, headers: [:])
            #expect(refused.status == .tooManyRequests)
            // Who was known from there goes on.
            #expect(try await farm.send(.get, "/v1/jobs", as: known).status == .ok)
            #expect(try await farm.send(.get, "/healthz", headers: [:]).status == .ok)
        }
    }

    @Test("a token that was revoked elsewhere is over within seconds, whatever comes beside it")
    func revokedAmongUnknown() async throws {
        var limits = RequestLimits()
        limits.unknownPerSecond = 0.01
        limits.burstSeconds = 300
        let isRevoked = Mutex(false)
        let authority = FarmTokens(admin: "root", lifetime: .milliseconds(50)) { token in
            guard token == "known", !isRevoked.withLock(\.self) else { return nil }
            return Caller(owner: "ann", role: .viewer)
        }
        let gate = RequestGate(authority, limits)
        #expect(try await gate.caller(bearing: "known", from: "a") != nil)
        for number in 0..<3 {
            #expect(try await gate.caller(bearing: "guess-\(number)", from: "a") == nil)
        }
        await #expect(throws: RequestExcess.self) {
            try await gate.caller(bearing: "guess", from: "a")
        }
        #expect(try await gate.caller(bearing: "known", from: "a") != nil)
        isRevoked.withLock { $0 = true }
        try await Task.sleep(for: .milliseconds(60))
        #expect(try await gate.caller(bearing: "known", from: "a") == nil)
    }
}

@Suite struct PatienceHandlerTests {
    private let limits: ConnectionLimits = {
        var limits = ConnectionLimits()
        limits.perAddress = 2
        return limits
    }()

    private func connection(
        _ census: ConnectionCensus = ConnectionCensus()
    ) throws
        -> EmbeddedChannel
    {
        let channel = EmbeddedChannel(handler: PatienceHandler(limits, census))
        try channel.connect(to: SocketAddress(ipAddress: "10.0.0.1", port: 1)).wait()
        return channel
    }

    private func head(_ channel: EmbeddedChannel) throws {
        let request = HTTPTypes.HTTPRequest(method: .put, scheme: nil, authority: nil, path: "/")
        try channel.writeInbound(HTTPRequestPart.head(request))
    }

    private func body(_ channel: EmbeddedChannel, _ count: Int) throws {
        channel.read()
        try channel.writeInbound(HTTPRequestPart.body(ByteBuffer(repeating: 0, count: count)))
        channel.read()
    }

    @Test("a connection whose request does not come is let go")
    func noHead() throws {
        let channel = try connection()
        channel.embeddedEventLoop.advanceTime(by: .seconds(19))
        #expect(channel.isActive)
        channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(!channel.isActive)
    }

    @Test("a body that trickles is let go, one that flows is not")
    func body() throws {
        let slow = try connection()
        try head(slow)
        for _ in 0..<29 where slow.isActive {
            try body(slow, 1000)
            slow.embeddedEventLoop.advanceTime(by: .seconds(1))
        }
        #expect(slow.isActive)
        slow.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(!slow.isActive)
        let fast = try connection()
        try head(fast)
        for _ in 0..<100 {
            try body(fast, 2000)
            fast.embeddedEventLoop.advanceTime(by: .seconds(1))
        }
        #expect(fast.isActive)
        _ = try fast.finish(acceptAlreadyClosed: true)
    }

    @Test("a request may wait for its answer, and the next one for two minutes")
    func answering() throws {
        let channel = try connection()
        try head(channel)
        try channel.writeInbound(HTTPRequestPart.end(nil))
        channel.embeddedEventLoop.advanceTime(by: .hours(1))
        #expect(channel.isActive)
        try channel.writeOutbound(HTTPResponsePart.end(nil))
        channel.embeddedEventLoop.advanceTime(by: .seconds(119))
        #expect(channel.isActive)
        channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(!channel.isActive)
    }

    @Test("an answer to one request does not end another that came behind it")
    func pipelined() throws {
        let channel = try connection()
        for _ in 0..<2 {
            try head(channel)
            try channel.writeInbound(HTTPRequestPart.end(nil))
        }
        try channel.writeOutbound(HTTPResponsePart.end(nil))
        channel.embeddedEventLoop.advanceTime(by: .hours(1))
        #expect(channel.isActive)
        try channel.writeOutbound(HTTPResponsePart.end(nil))
        channel.embeddedEventLoop.advanceTime(by: .minutes(2))
        #expect(!channel.isActive)
    }

    @Test("a connection that was answered early rests as any other once its body has ended")
    func early() throws {
        let channel = try connection()
        try head(channel)
        try channel.writeOutbound(HTTPResponsePart.end(nil))
        try channel.writeInbound(HTTPRequestPart.end(nil))
        channel.embeddedEventLoop.advanceTime(by: .seconds(119))
        #expect(channel.isActive)
        channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(!channel.isActive)
    }

    @Test("a body that the server itself does not read is not held to any speed")
    func busyServer() throws {
        let channel = try connection()
        try head(channel)
        channel.embeddedEventLoop.advanceTime(by: .minutes(10))
        #expect(channel.isActive)
        channel.read()
        channel.embeddedEventLoop.advanceTime(by: .minutes(1))
        #expect(!channel.isActive)
    }

    @Test("a client that does not take its answer is let go")
    func notTaken() throws {
        let channel = try connection()
        try head(channel)
        try channel.writeInbound(HTTPRequestPart.end(nil))
        channel.isWritable = false
        channel.pipeline.fireChannelWritabilityChanged()
        channel.embeddedEventLoop.advanceTime(by: .seconds(299))
        #expect(channel.isActive)
        channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(!channel.isActive)
    }

    @Test("an address has so many connections, and one that ends makes room")
    func perAddress() throws {
        let census = ConnectionCensus()
        let first = try connection(census)
        let second = try connection(census)
        let third = try connection(census)
        #expect(first.isActive && second.isActive && !third.isActive)
        _ = try first.finish()
        let fourth = try connection(census)
        #expect(fourth.isActive)
        _ = try second.finish()
        _ = try fourth.finish()
    }
}
