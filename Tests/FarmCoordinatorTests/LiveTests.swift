import FarmModel
import FarmStore
import FoundationEssentials
import HTTPTransport
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import TestSupport
import Testing

@testable import FarmCoordinator

/// What only a real connection shows: long polls, streams, and clients that go.
@Suite(.database, .timeLimit(.minutes(10))) struct LiveTests {
    /// A request of a client that may go away.
    private func request(
        _ method: String,
        _ path: String,
        _ message: (some Encodable)? = String?.none,
        of farm: TestFarm,
        headers: [(name: String, value: String)] = []
    ) throws -> HTTPTransport.HTTPRequest {
        HTTPTransport.HTTPRequest(
            method: method,
            url: "http://127.0.0.1:\(try #require(farm.port))\(path)",
            headers: [
                (name: "Authorization", value: "Bearer \(TestFarm.admin)"),
                (name: "Content-Type", value: "application/json"),
            ] + headers,
            body: try message.map { .bytes(try FarmJSON.encode($0)) } ?? .none
        )
    }

    /// Waits until `condition` holds; the suite's time limit bounds it.
    private func wait(until condition: () -> Bool) async throws {
        while !condition() {
            try Task.checkCancellation()
            await Task.yield()
        }
    }

    @Test("a claim that waits gets a task as soon as one is there")
    func longPoll() async throws {
        try await TestFarm.withAPI(live: true) { farm in
            let worker = try await farm.register().id
            let claim = try request(
                "POST",
                "/v1/workers/\(worker)/claim",
                ClaimRequest(waitSeconds: 20),
                of: farm
            )
            async let answer = HTTPClient().send(claim, retry: .never)
            try await wait { farm.api.desk.waiting == 1 }
            let job = try await farm.submit("parameters: {prompt: a}")
            farm.store.queueChanged()
            farm.api.desk.wake()
            let tasks = try FarmJSON.decode(ClaimAnswer.self, from: try await answer.body).tasks
            #expect(tasks.map(\.job) == [job.id])
        }
    }

    @Test("a claim whose client has gone makes no lease")
    func gone() async throws {
        try await TestFarm.withAPI(live: true) { farm in
            let worker = try await farm.register("a").id
            let other = try await farm.register("b").id
            let claim = try request(
                "POST",
                "/v1/workers/\(worker)/claim",
                ClaimRequest(waitSeconds: 20),
                of: farm
            )
            await withTaskGroup(of: Void.self) { group in
                group.addTask { _ = try? await HTTPClient().send(claim, retry: .never) }
                try? await wait { farm.api.desk.waiting == 1 }
                group.cancelAll()
            }
            try await wait { farm.api.desk.waiting == 0 }
            _ = try await farm.submit("parameters: {prompt: a}")
            farm.store.queueChanged()
            farm.api.desk.wake()
            let task = try await farm.task(other)
            #expect(task.fence.epoch == 1)
        }
    }

    @Test("events come in the order of their commits, again from where a reader left off")
    func events() async throws {
        try await TestFarm.withAPI(live: true) { farm in
            let worker = try await farm.register().id
            let job = try await farm.submit("parameters: {prompt: a}")
            let path = "/v1/jobs/\(job.id)/events"
            let all = try await read(path, of: farm, until: "job.succeeded") {
                let task = try await farm.task(worker)
                farm.api.live.wake(nil)
                _ = try await farm.deliver(task, 0, TestFarm.picture(), isFinal: true)
                farm.api.live.wake(job.id)
            }
            #expect(all.map(\.number) == Array(1...Int64(all.count)))
            #expect(all.first?.kind == .jobCreated)
            #expect(all.contains { $0.kind == .imageDelivered && $0.data.index == 0 })
            let middle = try #require(all.first).number
            let rest = try await read(
                path,
                of: farm,
                headers: [(name: "Last-Event-ID", value: String(middle))],
                until: "job.succeeded"
            ) {}
            #expect(rest == Array(all.dropFirst()))
            try await wait { farm.api.live.readerCount == 0 }
        }
    }

    /// The stored events of a stream until one of a kind, while `body` makes them.
    private func read(
        _ path: String,
        of farm: TestFarm,
        headers: [(name: String, value: String)] = [],
        until last: String,
        _ body: () async throws -> Void
    ) async throws -> [EventView] {
        let request = try request("GET", path, of: farm, headers: headers)
        let response = try await HTTPClient().open(request, retry: .never)
        #expect(response.headers["content-type"] == "text/event-stream")
        try await body()
        return try await EventText.read(response.body, until: last)
    }

    @Test("a coordinator that stops ends long polls and streams at once")
    func stop() async throws {
        try await TestFarm.withAPI(live: true) { farm in
            let worker = try await farm.register().id
            let claim = try request(
                "POST",
                "/v1/workers/\(worker)/claim",
                ClaimRequest(waitSeconds: 20),
                of: farm
            )
            async let answer = HTTPClient().send(claim, retry: .never)
            try await wait { farm.api.desk.waiting == 1 }
            farm.api.stop()
            let ended = try FarmJSON.decode(ClaimAnswer.self, from: try await answer.body)
            #expect(ended.tasks.isEmpty)
            #expect(try await farm.claim(worker, wait: 20).reason == .shuttingDown)
        }
    }
}
