package import FarmClient
import FarmModel
package import Logging
import ServiceLifecycle

/// The settings of a worker, read once.
package struct WorkerConfiguration: Sendable {
    /// The worker's name; registering under it again is the same worker.
    package var name: String
    package var pool: String
    /// The folder for downloaded references.
    package var cacheFolder: String
    /// How long a claim may be held back.
    package var claimWait: Duration
    /// The wait after a failed call; it doubles up to ``largestBackoff``.
    package var backoff: Duration
    package var largestBackoff: Duration

    package init(
        name: String,
        pool: String = "default",
        cacheFolder: String,
        claimWait: Duration = .seconds(20),
        backoff: Duration = .seconds(1),
        largestBackoff: Duration = .seconds(30)
    ) {
        self.name = name
        self.pool = pool
        self.cacheFolder = cacheFolder
        self.claimWait = claimWait
        self.backoff = backoff
        self.largestBackoff = largestBackoff
    }
}

extension CoordinatorClient: CoordinatorCalls {}

/// A worker: registers, claims, renders and reports, in a loop.
///
/// A graceful shutdown ends it after the current picture; a cancellation at the next step. A
/// coordinator that is away makes it wait, never give up: what is rendered is kept until it is
/// delivered or its lease turns out to be over.
package struct WorkerService: Service {
    let calls: any CoordinatorCalls
    let renderer: any ImageRenderer
    let configuration: WorkerConfiguration
    let logger: Logger
    let running = RunningAttempt()

    package init(
        calls: any CoordinatorCalls,
        renderer: any ImageRenderer,
        configuration: WorkerConfiguration,
        logger: Logger
    ) {
        self.calls = calls
        self.renderer = renderer
        self.configuration = configuration
        self.logger = logger
    }

    package func run() async throws {
        while !isStopping {
            guard let registration = try await register() else { return }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await beat(registration) }
                group.addTask { try await work(registration) }
                // The first to end decides: no more work, or a coordinator that forgot us.
                try await group.next()
                group.cancelAll()
            }
        }
    }

    /// Whether nothing new is to be begun.
    var isStopping: Bool { Task.isShuttingDownGracefully || Task.isCancelled }

    private func register() async throws -> RegistrationAnswer? {
        let request = RegistrationRequest(
            name: configuration.name,
            pool: configuration.pool,
            model: renderer.model
        )
        let answer = try await untilAnswered("register") { try await calls.register(request) }
        if let answer {
            logger.notice(
                "Registered",
                metadata: ["worker": "\(answer.id)", "model": "\(answer.model)"]
            )
        }
        return answer
    }

    // MARK: - Heartbeat

    private func beat(_ registration: RegistrationAnswer) async throws {
        var interval = registration.heartbeatSeconds
        while true {
            try await Task.sleep(for: .seconds(interval))
            let progress = running.progress
            do {
                let answer = try await calls.heartbeat(
                    registration.id,
                    HeartbeatRequest(running: progress.map { [$0] } ?? [])
                )
                interval = answer.heartbeatSeconds
                if running.cancel(answer.cancel.map(\.attempt) + answer.stale) {
                    logger.notice("Attempt is no longer wanted")
                }
            } catch let error as CancellationError {
                throw error
            } catch {
                logger.warning("Heartbeat failed", metadata: ["error": "\(error)"])
                // A coordinator that forgot the worker gets it anew, once its task is over.
                let isForgotten = (error as? FarmClientError)?.kind == .notFound
                if isForgotten, progress == nil { return }
            }
        }
    }

    // MARK: - Work

    private func work(_ registration: RegistrationAnswer) async throws {
        var backoff = configuration.backoff
        while !isStopping {
            do {
                let wait = configuration.claimWait
                let answer = try await cancelWhenGracefulShutdown {
                    try await calls.claim(
                        registration.id,
                        ClaimRequest(waitSeconds: Double(wait.components.seconds))
                    )
                }
                backoff = configuration.backoff
                for task in answer.tasks { try await perform(task) }
            } catch is CancellationError where Task.isShuttingDownGracefully {
                return
            } catch let error as CancellationError {
                throw error
            } catch {
                if (error as? FarmClientError)?.kind == .notFound || isStopping { return }
                logger.warning("Claim failed", metadata: ["error": "\(error)"])
                try await pause(backoff)
                backoff = min(backoff * 2, configuration.largestBackoff)
            }
        }
    }

    /// Waits, but not on into a shutdown.
    func pause(_ duration: Duration) async throws {
        do {
            try await cancelWhenGracefulShutdown { try await Task.sleep(for: duration) }
        } catch is CancellationError where Task.isShuttingDownGracefully {
            return
        }
    }

    /// Repeats a call until the coordinator answers it, or until there is nothing to wait for.
    ///
    /// - Returns: The answer, or nil when the worker is to stop.
    /// - Throws: ``FarmClientError`` when the coordinator refuses.
    func untilAnswered<Answer: Sendable>(
        _ name: String,
        _ call: () async throws -> Answer
    ) async throws -> Answer? {
        var backoff = configuration.backoff
        while true {
            do {
                return try await call()
            } catch let error as FarmClientError where Self.mayPass(error) {
                guard !isStopping else { return nil }
                logger.warning("Call failed", metadata: ["call": "\(name)", "error": "\(error)"])
                try await pause(backoff)
                backoff = min(backoff * 2, configuration.largestBackoff)
            }
        }
    }

    private static func mayPass(_ error: FarmClientError) -> Bool {
        switch error {
        case .unreachable, .unreadable: true
        case .refused(let problem): problem.status >= 500
        case .noToken: false
        }
    }
}
