import FarmClient
import FarmModel
import FarmWorker
import FoundationEssentials
import HTTPTransport
import Logging
import Telemetry
import TestSupport
import Testing

/// One trace from the submission of a job to the steps of its pictures.
@Suite(.database, .timeLimit(.minutes(10))) struct TraceTests {
    /// Spans by how they hang together.
    private struct SpanTree {
        let spans: [CollectedSpan]
        private let byID: [String: CollectedSpan]

        init(_ spans: [CollectedSpan]) {
            self.spans = spans
            byID = Dictionary(uniqueKeysWithValues: spans.map { ($0.id, $0) })
        }

        func named(_ name: String) -> [CollectedSpan] { spans.filter { $0.name == name } }

        func parent(of span: CollectedSpan) -> CollectedSpan? { span.parent.flatMap { byID[$0] } }

        /// The names of a span and of those that it is part of, up to the first.
        func line(of span: CollectedSpan) -> [String] {
            [span.name] + (parent(of: span).map { line(of: $0) } ?? [])
        }

        /// Those that are part of none of these.
        var roots: [CollectedSpan] { spans.filter { parent(of: $0) == nil } }
    }

    private func exporter(
        _ name: String,
        to address: String,
        grace: Duration = .seconds(5)
    ) throws -> OTLPExporter {
        let values = ["otlp-endpoint": address]
        var pace = OTLPExporter.Pace()
        pace.interval = .milliseconds(10)
        pace.grace = grace
        return OTLPExporter(
            try #require(try TraceSettings { values[$0] }),
            of: TraceResource([("service.name", name)]),
            pace: pace,
            logger: .quiet
        )
    }

    /// Lets a worker render a job in a farm, both of which export to collectors, and returns the job.
    private func render(
        coordinator: OTLPExporter?,
        worker: OTLPExporter?,
        in place: TraceContext?
    ) async throws -> JobView {
        let (ended, found) = AsyncStream<JobView>.makeStream()
        try await exporting([coordinator, worker].compactMap(\.self)) {
            try await Farm.run(tracer: coordinator?.tracer ?? .off) { farm in
                let renderer = FakeRenderer()
                try await farm.withWorker("w", renderer, tracer: worker?.tracer ?? .off) {
                    let job = try await TraceContext.within(place) {
                        try await farm.submit(
                            "parameters: {prompt: a, seed: 1-2}\nrender: {steps: 3}"
                        )
                    }
                    found.yield(try await farm.end(of: job))
                }
            }
        }
        found.finish()
        return try #require(await ended.first { _ in true })
    }

    /// Exports what begins while `body` runs, to the last span.
    private func exporting(
        _ exporters: [OTLPExporter],
        _ body: () async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for exporter in exporters { group.addTask { await exporter.run() } }
            try await body()
            group.cancelAll()
        }
    }

    @Test("a job's trace goes from its submission to each step, with the right parents")
    func whole() async throws {
        try await TraceCollector.serve { collector in
            let coordinator = try exporter("coordinator", to: collector.address)
            let worker = try exporter("worker", to: collector.address)
            let begin = TraceContext.root(isSampled: true).traceparent
            let place = try #require(
                TraceContext(traceparent: begin, tracestate: "vendor=note")
            )
            let job = try await render(coordinator: coordinator, worker: worker, in: place)
            #expect(job.state == .succeeded && job.trace == place.traceID)
            let tree = SpanTree(try collector.spans().filter { $0.trace == place.traceID })
            let submit = try #require(tree.named("POST /v1/jobs").first)
            #expect(submit.parent == place.spanID && submit.kind == 2)
            #expect(submit.attributes["http.request.method"] == "POST")
            #expect(submit.attributes["http.route"] == "/v1/jobs")
            #expect(submit.attributes["http.response.status_code"] == "201")
            #expect(submit.resource["service.name"] == "coordinator")
            // What the submission asked before it is in its trace, too.
            #expect(tree.roots.contains { $0.id == submit.id })
            #expect(tree.roots.allSatisfy { $0.parent == place.spanID })
            let steps = tree.named("step")
            let taskLine = ["task", "claim", "POST /v1/jobs"]
            #expect(steps.count == 6)
            for step in steps {
                #expect(tree.line(of: step) == ["step", "picture"] + taskLine)
                #expect(step.resource["service.name"] == "worker")
                let picture = try #require(tree.parent(of: step))
                #expect(picture.start <= step.start && step.end <= picture.end)
            }
            for name in ["encode", "decode"] {
                let parts = tree.named(name)
                #expect(parts.count == 2, "\(name)")
                for part in parts { #expect(tree.line(of: part) == [name, "picture"] + taskLine) }
            }
            let deliveries = tree.named("deliver")
            #expect(deliveries.count == 2)
            for delivery in deliveries {
                let route = "PUT /v1/attempts/{attempt}/images/{index}"
                #expect(tree.line(of: delivery) == ["deliver", route, "upload"] + taskLine)
                #expect(delivery.resource["service.name"] == "coordinator")
                #expect(delivery.attributes["db.system.name"] == "postgresql")
            }
            for task in tree.named("task") {
                #expect(task.attributes["dreamfarm.attempt.outcome"] == "succeeded")
                #expect(task.attributes["dreamfarm.job.id"] == "\(job.id)")
                #expect(task.kind == 5)
            }
            #expect(tree.spans.allSatisfy { $0.status == 0 && $0.state == "vendor=note" })
        }
    }

    @Test("a coordinator that exports nothing hands the trace on to workers that do")
    func passedOn() async throws {
        try await TraceCollector.serve { collector in
            let worker = try exporter("worker", to: collector.address)
            let place = TraceContext.root(isSampled: true)
            let job = try await render(coordinator: nil, worker: worker, in: place)
            #expect(job.trace == place.traceID)
            let tasks = try collector.spans().filter { $0.name == "task" }
            #expect(!tasks.isEmpty)
            for task in tasks {
                #expect(task.trace == place.traceID && task.parent == place.spanID)
            }
        }
    }

    @Test("a request whose traceparent is none begins a trace of its own, and tells no query")
    func malformed() async throws {
        let outer = TraceContext.root(isSampled: true)
        try await TraceCollector.serve { collector in
            let coordinator = try exporter("coordinator", to: collector.address)
            try await exporting([coordinator]) {
                try await Farm.run(tracer: coordinator.tracer) { farm in
                    let request = HTTPRequest(
                        method: "PROPFIND",
                        url: "\(farm.client.coordinator)/v1/jobs?owner=ann",
                        headers: [
                            (name: "traceparent", value: "00-\(outer.traceID)-0000000000000000-01"),
                            (name: "tracestate", value: "vendor=note"),
                        ]
                    )
                    let answer = try await HTTPClient().send(request, retry: .never)
                    #expect((400..<500).contains(answer.status))
                }
            }
            let spans = try collector.spans()
            let span = try #require(
                spans.first { $0.attributes["http.request.method_original"] == "PROPFIND" }
            )
            #expect(span.name == "HTTP" && span.attributes["http.request.method"] == "_OTHER")
            #expect(span.trace != outer.traceID && span.parent == nil && span.state == nil)
            #expect(span.attributes["url.path"] == "/v1/jobs" && span.status == 0)
            #expect(span.attributes["server.address"] == "127.0.0.1")
            #expect(Int(span.attributes["server.port"] ?? "") != nil)
            #expect(!span.attributes.values.contains { $0.contains("ann") })
        }
    }

    @Test("a trace that is not sampled is exported by nobody, and a job without one begins its own")
    func sampling() async throws {
        try await TraceCollector.serve { collector in
            let coordinator = try exporter("coordinator", to: collector.address)
            let worker = try exporter("worker", to: collector.address)
            let dropped = TraceContext.root(isSampled: false)
            let quiet = try await render(coordinator: coordinator, worker: worker, in: dropped)
            #expect(quiet.trace == dropped.traceID)
            #expect(try collector.spans().allSatisfy { $0.trace != dropped.traceID })
        }
        try await TraceCollector.serve { collector in
            let coordinator = try exporter("coordinator", to: collector.address)
            let worker = try exporter("worker", to: collector.address)
            let job = try await render(coordinator: coordinator, worker: worker, in: nil)
            let tree = SpanTree(try collector.spans())
            #expect(tree.named("step").count == 6)
            #expect(tree.named("step").allSatisfy { $0.trace == job.trace })
            // What machines ask every few seconds begins no trace.
            let ends = ["/heartbeat", "/claim"]
            #expect(
                tree.spans.allSatisfy { span in
                    !ends.contains { span.attributes["url.path"]?.hasSuffix($0) ?? false }
                }
            )
        }
    }

    @Test("a collector that is away keeps no picture from being made, and its spans are counted")
    func away() async throws {
        // Port 1 of this machine is nobody's.
        try await renderInVain(to: "http://127.0.0.1:1")
    }

    @Test("a collector that takes its time keeps no picture from being made, and no end")
    func slow() async throws {
        let slow = [TraceCollector.Answer](repeating: .init(delay: .seconds(3600)), count: 1000)
        try await TraceCollector.serve(answering: slow) { collector in
            try await renderInVain(to: collector.address)
            #expect(!collector.requests.isEmpty)
        }
    }

    /// Renders a job whose spans nobody takes.
    private func renderInVain(to address: String) async throws {
        let coordinator = try exporter("coordinator", to: address, grace: .milliseconds(100))
        let worker = try exporter("worker", to: address, grace: .milliseconds(100))
        let job = try await render(
            coordinator: coordinator,
            worker: worker,
            in: .root(isSampled: true)
        )
        #expect(job.state == .succeeded && job.images.delivered == 2)
        for exporter in [coordinator, worker] {
            #expect(exporter.counts.exported == 0 && exporter.counts.dropped > 0)
            #expect(exporter.tracer.counts == exporter.counts)
        }
    }
}
