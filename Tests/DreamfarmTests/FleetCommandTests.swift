import FarmClient
import FarmModel
import Foundation
import TestSupport
import Testing

@testable import dreamfarm

@Suite("Commands that look at a farm", .database, .timeLimit(.minutes(10)))
struct FleetCommandTests {
    @Test("top prints the fleet, what waits and why, jobs with ends, and workers with steps")
    func top() async throws {
        try await CommandFarm.run { farm in
            let one = try await farm.worker("one")
            try await farm.worker("two").rest()
            let spring = try await farm.submit(
                "name: spring\nparameters: {prompt: a, seed: 1-3}\nchunk: {count: 1}"
            )
            let winter = try await farm.submit("name: winter\nparameters: {prompt: b}")
            _ = try await farm.client.pause(winter.id)
            try await one.deliver(one.claim())
            try await one.beat(one.claim(), step: 2, saying: "begun")

            let lines = try await farm.lines("top", "--once")
            let head = try #require(lines.first)
            #expect(head.hasPrefix("dreamfarm \(FarmSettings.version)  workers: "))
            #expect(head.hasSuffix("1 busy, 1 idle"))
            #expect(lines.contains { $0.hasPrefix("tasks: 1 at workers, 2 waiting") }, "\(lines)")
            #expect(lines.contains { $0.hasPrefix("waiting for: ") && $0.contains("1 job_paused") })
            let pool = lines.first { $0.hasPrefix("pool default: ") }
            #expect(pool?.contains("2 pictures") == true && pool?.contains("2 workers of") == true)
            func row(_ name: String) throws -> [Substring] {
                let line = lines.first { $0.hasPrefix("\(name) ") }
                return try #require(line, "\(lines)").split(separator: " ")
            }
            let running = try row("spring")
            #expect(running[1...3] == ["admin", "running", "1/3"])
            #expect(running[4] != "-")
            let paused = try row("winter")
            #expect(paused[1...] == ["admin", "paused", "0/1", "-", "job_paused"])
            #expect(try row("one")[1...] == ["busy", "default", "tiny", "-", "1", "2/4", "1.25"])
            #expect(try row("two")[1...] == ["idle", "default", "tiny", "-", "-", "-", "-"])

            let few = try await farm.lines("top", "--once", "--jobs", "1")
            #expect(few.contains { $0.hasPrefix("spring ") })
            #expect(!few.contains { $0.hasPrefix("winter ") })
            let text = try await farm.lines("top", "-o", "json").joined(separator: "\n")
            let look = try FarmJSON.decode(FleetShape.self, from: text)
            #expect(look.jobs.map(\.id) == [spring.id, winter.id])
            #expect(look.workers.map(\.name).sorted() == ["one", "two"])
            #expect(look.capacity.leasedTasks == 1)
        }
    }

    private struct FleetShape: Decodable {
        var jobs: [JobView]
        var workers: [WorkerView]
        var capacity: CapacityView
    }

    @Test("trace tells a task's way in order: a lapse, a failure, another try, the delivery")
    func trace() async throws {
        try await CommandFarm.run { farm in
            let one = try await farm.worker("one")
            let job = try await farm.submit("parameters: {prompt: a}")
            let task = try await one.claim()
            try await one.beat(task, step: 1, saying: "warming up")
            // The process is killed, and starts again: what it had begun lapses.
            _ = try await farm.worker("one")
            let two = try await farm.worker("two")
            try await two.fail(two.claim(), .transient, "the disk was full for a moment")
            let three = try await farm.worker("three")
            let last = try await three.claim()
            try await three.deliver(last)
            #expect(last.fence.task == task.fence.task)

            let lines = try await farm.lines("trace", task.fence.task.description)
            let expected = [
                "job.created", "attempt 1: claimed by one", "info: warming up",
                "attempt 1: lapsed at one, 1 step in 2.5 s", "attempt 2: claimed by two",
                "attempt 2: failed at two: transient: the disk was full for a moment",
                "attempt 3: claimed by three", "image.delivered: image 0",
                "attempt 3: succeeded at three, 4 steps in 5.0 s", "job.succeeded",
            ]
            var rest = lines[...]
            for text in expected {
                let place = rest.firstIndex { $0.contains(text) }
                #expect(place != nil, "\(text) is not in \(lines)")
                if let place { rest.remove(at: place) }
            }
            let order = expected.compactMap { text in lines.firstIndex { $0.contains(text) } }
            // The delivery ends attempt and job at one moment.
            #expect(order[..<7] == order[..<7].sorted()[...], "\(lines)")
            let offsets = lines.compactMap { line in
                line.split(separator: " ").first.flatMap { Double($0.dropFirst()) }
            }
            #expect(offsets.count == lines.count && offsets == offsets.sorted())
            #expect(offsets.first == 0)

            let silent = try await farm.lines("trace", task.fence.task.description, "--no-logs")
            #expect(!silent.contains { $0.contains("warming up") })
            #expect(silent.count == lines.count - 1)
            let text = try await farm.lines("trace", task.fence.task.description, "-o", "json")
            let entries = try FarmJSON.decode([Entry].self, from: text.joined(separator: "\n"))
            #expect(entries.count == lines.count)
            #expect(entries.count { $0.kind == "claim" } == 3)
            #expect(entries.count { $0.kind == "end" } == 3)
            #expect(job.images.total == 1)
        }
    }

    private struct Entry: Decodable {
        var at: Date
        var kind: String
    }

    @Test("completion knows jobs by id and key, workers, groups, models and pools")
    func completion() async throws {
        try await CommandFarm.run { farm in
            let names = ["one", "two"]
            for name in names { _ = try await farm.worker(name, group: GroupOffer()) }
            _ = try await farm.client.formGroup(GroupRequest(workers: names, name: "pair"))
            let first = try await farm.submit("parameters: {prompt: a}", key: "spring")
            let second = try await farm.submit("parameters: {prompt: b}")
            let jobs = try await farm.lines("complete", "jobs")
            #expect(Set(jobs) == [first.id.description, "spring", second.id.description])
            #expect(try await farm.lines("complete", "workers").sorted() == ["one", "two"])
            #expect(try await farm.lines("complete", "groups") == ["pair"])
            #expect(try await farm.lines("complete", "models") == ["tiny"])
            #expect(try await farm.lines("complete", "pools") == ["default"])
        }
    }

    /// Who is asked for names, and says none.
    enum Silence: CaseIterable {
        case noToken
        case refusal
        case hangUp
        case standstill
    }

    @Test(
        "completion is silent and asks once where no coordinator answers, and without a token",
        arguments: Silence.allCases
    )
    func noCoordinator(_ silence: Silence) async throws {
        let folder = try TaskFolder()
        let listener = try SilentListener(hangsUp: silence == .hangUp)
        for kind in ["jobs", "workers", "groups", "models", "pools"] {
            let before = listener.connections
            let environment: [String: String] =
                switch silence {
                case .noToken: ["DREAMFARM_DATA_DIR": "\(folder.path)/none"]
                // Nobody listens at the port that is kept for what throws everything away.
                case .refusal:
                    ["DREAMFARM_COORDINATOR": "http://127.0.0.1:9", "DREAMFARM_TOKEN": "t"]
                case .hangUp, .standstill:
                    ["DREAMFARM_COORDINATOR": listener.address, "DREAMFARM_TOKEN": "t"]
                }
            let run = try await CommandFarm.run(
                ["complete", kind],
                in: folder.path,
                environment: environment
            )
            #expect(run.status == 0 && run.lines == [] && run.output.isEmpty, "\(run)")
            if [.hangUp, .standstill].contains(silence) {
                #expect(listener.connections == before + 1)
            }
        }
    }
}
