import FarmModel
import FarmWorker
import FoundationEssentials
import HTTPTransport
import Logging
import Prometheus
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(10))) struct WorkerEndpointTests {
    /// A clock that a test moves.
    private final class Hand: Sendable {
        private let state = Mutex(ContinuousClock.now)

        var now: ContinuousClock.Instant { state.withLock(\.self) }

        func pass(_ time: Duration) { state.withLock { $0 += time } }
    }

    /// Reads an endpoint.
    private struct Reader: Sendable {
        let address: String

        func get(_ path: String, accept: String? = nil) async throws -> HTTPResponse {
            let request = HTTPRequest(
                method: "GET",
                url: "http://\(address)\(path)",
                headers: accept.map { [(name: "Accept", value: $0)] } ?? []
            )
            return try await HTTPClient().send(request, retry: .never)
        }

        func text(_ path: String, accept: String? = nil) async throws -> String {
            String(decoding: try await get(path, accept: accept).body, as: UTF8.self)
        }

        /// The value of a sample by its name with its labels.
        func sample(_ name: String) async throws -> Double? {
            try await text("/metrics").split(separator: "\n")
                .first { $0.hasPrefix(name + " ") }
                .flatMap { Double($0.dropFirst(name.count + 1)) }
        }
    }

    /// Lends an endpoint that serves metrics.
    private func serve(
        _ metrics: WorkerMetrics,
        at address: String = "127.0.0.1:0",
        _ body: (Reader) async throws -> Void
    ) async throws {
        let listen = try #require(ListenAddress(address))
        let endpoint = WorkerEndpoint(listen, of: metrics, logger: .quiet)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await endpoint.run() }
            defer { group.cancelAll() }
            let address = try await endpoint.address(toward: "http://127.0.0.1:1")
            try await body(Reader(address: address))
        }
    }

    @Test("before there is a worker it is alive, not ready, and has every series")
    func before() async throws {
        let metrics = WorkerMetrics()
        try await serve(metrics) { reader in
            #expect(try await reader.get("/healthz").status == 200)
            let readiness = try await reader.get("/readyz")
            #expect(readiness.status == 503)
            #expect(String(decoding: readiness.body, as: UTF8.self).contains("not registered"))
            let text = try await reader.text("/metrics")
            for family in metrics.families {
                let description = family.description
                #expect(text.contains("# HELP \(description.name) "))
                #expect(family.series().count >= description.knownSeries.count)
                #expect(text.contains("\n\(description.name)"))
            }
            #expect(try await reader.sample("dreamfarm_worker_registered") == 0)
            #expect(try await reader.sample(#"dreamfarm_worker_state{state="starting"}"#) == 1)
            #expect(try await reader.sample("process_open_fds") ?? 0 > 0)
            #expect(try await reader.get("/other").status == 404)
        }
    }

    @Test("a worker that is registered and heard is ready, and no longer when nobody answers it")
    func readiness() async throws {
        let hand = Hand()
        let metrics = WorkerMetrics(now: { hand.now })
        try await serve(metrics) { reader in
            try await Bench.run(configure: { $0.metrics = metrics }) { bench in
                try await bench.clock.sleeping(.seconds(FakeCoordinator.heartbeatSeconds))
                #expect(try await reader.get("/readyz").status == 200)
                #expect(try await reader.sample("dreamfarm_worker_registered") == 1)
                hand.pass(.seconds(3600))
                let stale = try await reader.get("/readyz")
                #expect(stale.status == 503)
                #expect(String(decoding: stale.body, as: UTF8.self).contains("no heartbeat"))
                #expect(try await reader.sample("dreamfarm_worker_heartbeat_age_seconds") == 3600)
                try await bench.beat()
                #expect(try await reader.get("/readyz").status == 200)
                #expect(try await reader.sample("dreamfarm_worker_heartbeat_age_seconds") == 0)
            }
        }
    }

    @Test("what the worker renders is counted")
    func counts() async throws {
        let metrics = WorkerMetrics()
        try await serve(metrics) { reader in
            let farm = FakeCoordinator()
            farm.lay(try .of(0), try .of(1))
            try await Bench.run(farm: farm, configure: { $0.metrics = metrics }) { bench in
                bench.renderer.allow(6)
                try await bench.journal.wait(for: "deliver 1")
            }
            #expect(try await reader.sample("dreamfarm_worker_images_total") == 2)
            #expect(try await reader.sample("dreamfarm_worker_claims_total") == 2)
            #expect(
                try await reader.sample(#"dreamfarm_worker_attempts_total{outcome="succeeded"}"#)
                    == 2
            )
            #expect(
                try await reader.sample(#"dreamfarm_worker_attempts_total{outcome="failed"}"#) == 0
            )
            #expect(try await reader.sample("dreamfarm_worker_step_seconds_count") == 6)
            let answered = try await reader.sample(
                #"dreamfarm_worker_heartbeats_total{outcome="answered"}"#
            )
            #expect(answered ?? 0 > 0)
            #expect(
                try await reader.sample(#"dreamfarm_worker_work_seconds_total{kind="useful"}"#)
                    ?? 0 > 0
            )
        }
    }

    @Test("the answer has the format that was asked for")
    func format() async throws {
        try await serve(WorkerMetrics()) { reader in
            let plain = try await reader.get("/metrics")
            #expect(plain.headers["content-type"] == Exposition.text.contentType)
            let open = try await reader.get(
                "/metrics",
                accept: "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
            )
            #expect(open.headers["content-type"] == Exposition.openMetrics.contentType)
            let text = String(decoding: open.body, as: UTF8.self)
            #expect(text.hasSuffix("\n# EOF\n"))
            #expect(text.contains("# TYPE process_cpu_seconds counter\n"))
        }
    }

    @Test("an address that is taken is an error that names it and the setting")
    func taken() async throws {
        try await serve(WorkerMetrics()) { reader in
            let listen = try #require(ListenAddress(reader.address))
            let second = WorkerEndpoint(listen, of: WorkerMetrics(), logger: .quiet)
            let error = await #expect(throws: WorkerEndpointError.self) { try await second.run() }
            #expect(error?.description.contains(reader.address) == true)
            #expect(error?.description.contains("--metrics-listen") == true)
        }
    }

    @Test("one that listens everywhere is read at the address that leads to the coordinator")
    func everywhere() async throws {
        try await serve(WorkerMetrics(), at: "0.0.0.0:0") { reader in
            #expect(reader.address.hasPrefix("127.0.0.1:"))
            let answer = try await reader.get("/healthz")
            #expect(answer.status == 200)
        }
    }
}
