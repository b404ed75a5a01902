import FarmModel
import FarmStore
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Postgres
import Prometheus
import TestSupport
import Testing

@testable import FarmCoordinator

@Suite(.database, .timeLimit(.minutes(10))) struct MetricsTests {
    /// The families of the design, by name.
    private static let names: Set = [
        "dreamfarm_tasks", "dreamfarm_waiting_tasks", "dreamfarm_task_wait_seconds",
        "dreamfarm_claim_duration_seconds", "dreamfarm_attempts_total", "dreamfarm_audits_total",
        "dreamfarm_stale_writes_total", "dreamfarm_lease_expirations_total",
        "dreamfarm_placements_total", "dreamfarm_workers", "dreamfarm_groups",
        "dreamfarm_images_total", "dreamfarm_step_seconds", "dreamfarm_denoise_tokens_total",
        "dreamfarm_cost_model_ratio", "dreamfarm_worker_busy_seconds_total",
        "dreamfarm_http_request_duration_seconds", "dreamfarm_database_pool_connections",
        "dreamfarm_database_dead_tuples", "dreamfarm_duty_held", "dreamfarm_build_info",
        "dreamfarm_group_formation_seconds", "dreamfarm_group_steps_total",
        "dreamfarm_group_reduce_seconds", "dreamfarm_group_reduce_bytes_total",
        "dreamfarm_group_wait_ratio", "dreamfarm_preemptions_total",
        "dreamfarm_preemption_repeated_steps_total", "dreamfarm_capacity_recommended_workers",
        "dreamfarm_capacity_work_seconds", "dreamfarm_webhook_deliveries_total",
        "dreamfarm_trace_spans_total",
        "dreamfarm_blob_store_free_bytes", "process_start_time_seconds",
        "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds",
        "process_max_fds",
    ]

    @Test("every family and known value of a label is there at the first scrape")
    func first() async throws {
        try await TestFarm.withAPI { farm in
            farm.api.metrics.database.show(
                try await farm.store.gauges(),
                waiting: try await farm.store.waitingCounts(),
                capacity: [],
                freeBytes: 4096
            )
            let scrape = try await farm.scrape()
            let families = farm.api.metrics.families
            #expect(Set(families.map(\.description.name)) == Self.names)
            #expect(families.count == Self.names.count)
            for family in families {
                let description = family.description
                #expect(scrape.text.contains("# HELP \(description.name) \(description.help)\n"))
                for values in description.knownSeries {
                    let labels = zip(description.labels, values).map { "\($0.name)=\"\($1)\"" }
                        .joined(separator: ",")
                    let braces = labels.isEmpty ? "" : "{\(labels)}"
                    let isHistogram = description.kind == .histogram
                    let name = description.name + (isHistogram ? "_count" : "") + braces
                    let value = try #require(scrape[name], "\(name)")
                    switch description.name {
                    case "dreamfarm_build_info": #expect(value == 1)
                    case "dreamfarm_database_pool_connections": #expect(value >= 0)
                    case "dreamfarm_blob_store_free_bytes": #expect(value == 4096)
                    case let name where name.hasPrefix("process_"): #expect(value > 0)
                    default: #expect(value == 0, "\(name)")
                    }
                }
            }
            for route in CoordinatorAPI.declarations(of: farm.api) {
                for status in ["2xx", "4xx", "5xx"] {
                    let labels = "route=\"\(route.path)\",status=\"\(status)\""
                    #expect(
                        scrape["dreamfarm_http_request_duration_seconds_count{\(labels)}"] == 0
                    )
                }
            }
        }
    }

    @Test("who does not sample the database tells nothing of it")
    func withoutSample() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register()
            _ = try await farm.submit("parameters: {prompt: a}")
            let names = farm.api.metrics.database.families.map(\.description.name)
            let scrape = try await farm.scrape()
            #expect(names.count == 8)
            for sample in scrape.samples.keys {
                #expect(!names.contains(String(sample.prefix { $0 != "{" })), "\(sample)")
            }
        }
    }

    @Test("counters move with a job")
    func job() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register().id
            _ = try await farm.submit("parameters: {prompt: a, seed: 1-3}\nchunk: {count: 1}")
            let delivered = try await farm.task(worker)
            let path = "/v1/workers/\(worker)/heartbeat"
            for steps in [1, 2] {
                var beat = HeartbeatRequest(state: .busy)
                var figures = WorkerFigures()
                figures.measuredSteps = steps
                figures.measuredStepSeconds = Double(steps) / 2
                figures.denoiseTokens = 100
                figures.usefulSeconds = 1.5
                beat.figures = figures
                _ = try await farm.call(.post, path, beat, as: HeartbeatAnswer.self)
            }
            let predicted = try #require(delivered.predictedSeconds)
            let request = DeliveryRequest(
                fence: delivered.fence,
                imageIndex: 0,
                isFinal: true,
                report: AttemptReport(stepsComputed: 4, seconds: predicted * 3)
            )
            let answer = try await farm.send(.put, request.path, TestFarm.picture())
            #expect(answer.status == .created)
            let second = try await farm.task(worker)
            let failed = second.fence
            _ = try await farm.call(
                .post,
                "/v1/attempts/\(failed.attempt)/fail",
                FailureRequest(fence: failed, failureClass: .deterministic, message: "no"),
                as: AttemptAnswer.self
            )
            #expect(try await farm.deliver(second, 1, TestFarm.picture()).status == .conflict)
            let last = try await farm.task(worker)
            _ = try await farm.call(.post, "/v1/jobs/\(last.job)/cancel", as: JobView.self)
            let scrape = try await farm.scrape()
            for (name, value) in [
                "dreamfarm_attempts_total{outcome=\"succeeded\"}": 1,
                "dreamfarm_attempts_total{outcome=\"failed\"}": 1,
                "dreamfarm_attempts_total{outcome=\"cancelled\"}": 1,
                "dreamfarm_attempts_total{outcome=\"lapsed\"}": 0,
                "dreamfarm_images_total{outcome=\"delivered\"}": 1,
                "dreamfarm_images_total{outcome=\"failed\"}": 1,
                "dreamfarm_images_total{outcome=\"cancelled\"}": 1,
                "dreamfarm_stale_writes_total": 1,
                "dreamfarm_placements_total{warmth=\"cold\"}": 3,
                "dreamfarm_task_wait_seconds_count": 3,
                "dreamfarm_claim_duration_seconds_count": 3,
                "dreamfarm_step_seconds_count{precision=\"float32\",group=\"1\"}": 3,
                "dreamfarm_step_seconds_sum{precision=\"float32\",group=\"1\"}": 1.5,
                "dreamfarm_denoise_tokens_total": 200,
                "dreamfarm_worker_busy_seconds_total{kind=\"useful\"}": 3,
                "dreamfarm_cost_model_ratio_count": 1,
                "dreamfarm_http_request_duration_seconds_count{route=\"/v1/jobs\",status=\"2xx\"}":
                    1,
                """
                dreamfarm_http_request_duration_seconds_count\
                {route="/v1/attempts/{attempt}/images/{index}",status="4xx"}
                """: 1,
            ] { #expect(scrape[name] == value, "\(name)") }
            let ratio = try #require(scrape["dreamfarm_cost_model_ratio_sum"])
            #expect(abs(ratio - 3) < 1e-6)
        }
    }

    @Test("the images of a task are counted each, and its attempt once")
    func chunk() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register().id
            _ = try await farm.submit("parameters: {prompt: a, seed: 1-3}\nchunk: {count: 3}")
            let task = try await farm.task(worker)
            try await withThrowingTaskGroup { group in
                for index in 0..<3 {
                    group.addTask {
                        let picture = try TestFarm.picture(UInt8(index))
                        _ = try await farm.deliver(task, index, picture, isFinal: true)
                    }
                }
                try await group.waitForAll()
            }
            let scrape = try await farm.scrape()
            #expect(scrape["dreamfarm_images_total{outcome=\"delivered\"}"] == 3)
            #expect(scrape["dreamfarm_attempts_total{outcome=\"succeeded\"}"] == 1)
        }
    }

    @Test("leases that run out are counted, and tasks that were claimed for their conditions")
    func expiry() async throws {
        try await TestFarm.withAPI(pool: TestDatabase.pool()) { farm in
            let worker = try await farm.register().id
            let job = try await farm.submit("parameters: {prompt: a, seed: 1-2}\nchunk: {count: 1}")
            _ = try await farm.store.runExpiry()
            let key = ArtifactKey(.prompt, determinants: "a")
            farm.api.warm.note(key, neededBy: job.id)
            farm.api.warm.note([key], of: worker)
            let lapsing = try await farm.task(worker)
            try await TestDatabase.pool().execute(
                "UPDATE lease SET deadline = now() - interval '1 s'"
            )
            _ = try await farm.store.runExpiry()
            let late = try await farm.deliver(lapsing, lapsing.images[0].index, TestFarm.picture())
            #expect(late.status == .conflict)
            let scrape = try await farm.scrape()
            #expect(scrape["dreamfarm_lease_expirations_total"] == 1)
            #expect(scrape["dreamfarm_attempts_total{outcome=\"lapsed\"}"] == 1)
            #expect(scrape["dreamfarm_placements_total{warmth=\"warm\"}"] == 1)
            #expect(scrape["dreamfarm_stale_writes_total"] == 1)
        }
    }

    @Test("an address that no route has is counted under one name")
    func noRoute() async throws {
        try await TestFarm.withAPI { farm in
            for number in 0..<3 { _ = try await farm.send(.get, "/nothing/\(number)") }
            let name = "dreamfarm_http_request_duration_seconds_count"
            let scrape = try await farm.scrape()
            #expect(scrape["\(name){route=\"other\",status=\"4xx\"}"] == 3)
            #expect(!scrape.text.contains("/nothing"))
        }
    }

    // MARK: - Access

    @Test("the metrics take a viewer's token, or none where a setting says so")
    func access() async throws {
        try await TestFarm.withAPI { farm in
            #expect(try await farm.send(.get, "/metrics", headers: [:]).status == .unauthorized)
            for (role, status) in [
                (TokenRole.viewer, HTTPResponse.Status.ok), (.operator, .ok), (.worker, .forbidden),
            ] {
                let token = try await farm.token("someone", role)
                #expect(try await farm.send(.get, "/metrics", as: token).status == status)
            }
        }
        var settings = CoordinatorAPISettings()
        settings.areMetricsOpen = true
        try await TestFarm.withAPI(settings: settings) { farm in
            let open = try await farm.send(.get, "/metrics", headers: [:])
            let closed = try await farm.send(.get, "/v1/jobs", headers: [:])
            #expect(open.status == .ok && closed.status == .unauthorized)
        }
    }

    @Test("a token that opened the metrics opens them while the database is away")
    func memory() async throws {
        let asked = Asked()
        let tokens = FarmTokens(admin: "the-admin", lifetime: .zero) { _ in
            await asked.ask()
            return Caller(owner: "o", role: .viewer)
        }
        for _ in 0..<3 {
            let caller = try await tokens.caller(bearing: "t", rememberedFor: .seconds(600))
            #expect(caller?.role == .viewer)
        }
        #expect(await asked.times == 1)
        _ = try await tokens.caller(bearing: "t")
        #expect(await asked.times == 2)
        tokens.forget()
        _ = try await tokens.caller(bearing: "t", rememberedFor: .seconds(600))
        #expect(await asked.times == 3)
    }

    private actor Asked {
        var times = 0
        func ask() { times += 1 }
    }

    @Test("the answer has the format that was asked for")
    func format() async throws {
        try await TestFarm.withAPI { farm in
            let plain = try await farm.send(.get, "/metrics")
            #expect(plain.headers[.contentType] == Exposition.text.contentType)
            var headers: HTTPFields = [.authorization: "Bearer \(TestFarm.admin)"]
            headers[.accept] = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
            let open = try await farm.send(.get, "/metrics", headers: headers)
            #expect(open.headers[.contentType] == Exposition.openMetrics.contentType)
            let text = String(buffer: open.body)
            #expect(text.hasSuffix("\n# EOF\n"))
            #expect(text.contains("# TYPE dreamfarm_attempts counter\n"))
            #expect(text.contains("# TYPE dreamfarm_build info\n"))
        }
    }
}
