import FarmModel
import FarmWorker
import FoundationEssentials
import Logging

/// A worker over a coordinator that is not there, with a renderer and a clock in the test's hands.
struct Bench: Sendable {
    let journal: Journal
    let farm: FakeCoordinator
    let renderer: ScriptedRenderer
    let clock: ManualClock
    let worker: WorkerService

    /// Runs a worker while `body` runs, drains it, and waits for its end.
    static func run(
        failing failures: [String: any Error & Sendable] = [:],
        stepSeconds: Double = 0.01,
        numericClass: String = "class",
        farm given: FakeCoordinator? = nil,
        configure: (inout WorkerConfiguration) -> Void = { _ in },
        _ body: (Bench) async throws -> Void
    ) async throws {
        let farm = given ?? FakeCoordinator()
        try await withFolder { folder in
            let renderer = ScriptedRenderer(
                journal: farm.journal,
                failing: failures,
                stepSeconds: stepSeconds,
                numericClass: numericClass
            )
            var configuration = WorkerConfiguration(name: "bench", dataFolder: folder)
            configure(&configuration)
            let clock = ManualClock()
            let worker = WorkerService(
                calls: farm,
                renderer: renderer,
                configuration: configuration,
                clock: clock,
                logger: .quiet
            )
            // Nothing is claimed before the first heartbeat, so that tests can count them.
            farm.hold("claim")
            let bench = Bench(
                journal: farm.journal,
                farm: farm,
                renderer: renderer,
                clock: clock,
                worker: worker
            )
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await worker.run() }
                do {
                    try await farm.journal.wait(for: "heartbeat")
                    farm.letGo("claim")
                    try await body(bench)
                } catch {
                    group.cancelAll()
                    throw error
                }
                worker.drain()
                try await group.waitForAll()
            }
        }
    }

    /// Runs `body` with a folder that is taken away afterwards.
    static func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.path + "/worker-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(folder)
    }
}

extension Logger {
    /// A logger that says nothing.
    static var quiet: Logger {
        Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    }
}

extension Bench {
    /// Lets time pass from one sleep's end to the next until `line` is written.
    func passTime(until line: String) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while true {
                    try await clock.passToNext()
                    await Task.yield()
                }
            }
            try await journal.wait(for: line)
            group.cancelAll()
        }
    }

    /// Lets time pass until one more heartbeat was answered and followed.
    func beat() async throws {
        let count = farm.heartbeats.count
        try await clock.pass(.seconds(FakeCoordinator.heartbeatSeconds))
        try await journal.wait(for: "heartbeat", count: count + 1)
        // The worker sleeps again once it has followed the answer.
        try await clock.sleeping(.seconds(FakeCoordinator.heartbeatSeconds))
    }
}
