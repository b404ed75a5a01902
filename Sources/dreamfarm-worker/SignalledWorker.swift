import FarmWorker
import Glibc
import Logging
import Synchronization
import Telemetry
import UnixSignals

/// Runs a worker under the process's signals: the first drains it, the second stops it now.
struct SignalledWorker {
    let logger: Logger
    /// What serves its metrics, from before its model is loaded; nil for nothing.
    var endpoint: WorkerEndpoint?
    /// What exports its spans; nil for nothing.
    var exporter: OTLPExporter?

    /// Makes a worker and runs it to its end.
    func run(_ make: @escaping @Sendable (Logger) async throws -> WorkerService) async throws {
        let logger = logger
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        let running = RunningWorker()
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                let worker = try await make(logger)
                guard running.begin(worker) else { return true }
                try await worker.run()
                return true
            }
            group.addTask {
                for await signal in signals {
                    logger.notice("Told to stop", metadata: ["signal": "\(signal)"])
                    // Before the model is loaded there is nothing to give back.
                    if running.drain() == .notBegun { Glibc.exit(0) }
                    if running.isSecond {
                        await running.abandon()
                        Glibc.exit(1)
                    }
                }
                return false
            }
            if let exporter {
                group.addTask {
                    await exporter.run()
                    return false
                }
            }
            if let endpoint {
                group.addTask {
                    try await endpoint.run()
                    return false
                }
            }
            defer { group.cancelAll() }
            while let isOver = try await group.next(), !isOver {}
        }
    }
}

/// The worker of this process, once its model is loaded.
private final class RunningWorker: Sendable {
    enum Draining: Equatable {
        case notBegun
        case begun
    }

    private struct State {
        var worker: WorkerService?
        var signals = 0
    }

    private let state = Mutex(State())

    /// Notes the worker.
    ///
    /// - Returns: Whether it is still wanted.
    func begin(_ worker: WorkerService) -> Bool {
        state.withLock { state in
            state.worker = worker
            return state.signals == 0
        }
    }

    var isSecond: Bool { state.withLock { $0.signals > 1 } }

    func drain() -> Draining {
        let worker = state.withLock { state in
            state.signals += 1
            return state.worker
        }
        worker?.drain()
        return worker == nil ? .notBegun : .begun
    }

    func abandon() async {
        await state.withLock { $0.worker }?.abandon(within: .seconds(3))
    }
}
