package import FarmStore
package import Logging
import Postgres
import ServiceLifecycle
import Synchronization
import Telemetry
import Tracing

/// One of the farm's duties: work that one coordinator at a time does again and again.
///
/// The duty's lock is held in the database for as long as the coordinator and its connection live
/// and give signs of it; the others try now and then to take it. What fails is tried again in the next round; a database
/// that is away is no reason to end.
package struct PeriodicService: Service {
    private let duty: Duty
    private let store: FarmStore
    private let interval: Duration
    private let outage: DatabaseOutage
    private let logger: Logger
    private let work: @Sendable (Logger) async throws -> Bool
    private let lastAnswer = LastAnswer()
    private var tellHolding: @Sendable (Duty, Bool) -> Void = { _, _ in }
    private var tracer = FarmTracer.off

    /// A service that does `work`, which says whether there was anything to do, once in `interval`, give or
    /// take a tenth, and tells of a database that is away as one of those that share `outage`.
    package init(
        _ duty: Duty,
        of store: FarmStore,
        every interval: Duration,
        outage: DatabaseOutage,
        logger: Logger,
        _ work: @escaping @Sendable (Logger) async throws -> Bool
    ) {
        self.duty = duty
        self.store = store
        self.interval = interval
        self.outage = outage
        self.logger = logger
        self.work = work
    }

    /// The same service, which tells when it has the duty from now on, and when no longer.
    func telling(_ holding: @escaping @Sendable (Duty, Bool) -> Void) -> PeriodicService {
        var service = self
        service.tellHolding = holding
        return service
    }

    /// The same service, whose rounds in which there is something to do are spans.
    func traced(by tracer: FarmTracer) -> PeriodicService {
        var service = self
        service.tracer = tracer
        return service
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            var failures = 0
            while !Task.isCancelled {
                let start = ContinuousClock.now
                do {
                    try await store.withDuty(duty) { lock in
                        noteAnswer(to: start)
                        tell(isHeld: true)
                        defer { tell(isHeld: false) }
                        try await repeatWork(under: lock)
                    }
                    noteAnswer(to: start)
                    failures = 0
                } catch {
                    failures += 1
                    // A lock is lost long after it was taken; what counts is the last answer.
                    complain(error, failures, since: max(start, lastAnswer.instant))
                }
                // Held elsewhere, or lost; nobody waits for it to the second.
                await pause(min(interval, .seconds(5)))
            }
        }
    }

    private func tell(isHeld: Bool) {
        tellHolding(duty, isHeld)
        logger.info(isHeld ? "Duty taken" : "Duty lost", metadata: ["duty": "\(duty.name)"])
    }

    /// Does the work until the lock is lost or the service ends.
    private func repeatWork(under lock: SessionLock) async throws {
        var failures = 0
        while !Task.isCancelled {
            try await lock.confirm()
            let start = ContinuousClock.now
            let begin = Timestamp.now()
            do {
                if try await work(logger) { span(from: begin).end() }
                noteAnswer(to: start)
                failures = 0
            } catch {
                failures += 1
                span(from: begin).fail("\(error)")
                complain(error, failures, since: start)
            }
            await pause(interval)
        }
    }

    /// The span of a round, which has a trace of its own.
    private func span(from begin: Timestamp) -> FarmSpan {
        tracer.span("duty \(duty.name)", in: nil, at: begin, ["dreamfarm.duty": "\(duty.name)"])
    }

    private func pause(_ length: Duration) async {
        try? await Task.sleep(for: length * Double.random(in: 0.9...1.1))
    }

    private func noteAnswer(to start: ContinuousClock.Instant) {
        lastAnswer.note(.now)
        if outage.isEnded(byAnswerTo: start) { logger.notice("Database answers again") }
    }

    /// Logs a failure; what fails on and on is told once, and an outage by one duty of all.
    private func complain(
        _ error: any Error,
        _ failures: Int,
        since start: ContinuousClock.Instant
    ) {
        guard !Task.isCancelled else { return }
        let finding = outage.finding(of: error, since: start)
        let isNews = finding == .begins || (finding == .unrelated && failures == 1)
        logger.log(
            level: isNews ? .error : .debug,
            finding == .begins ? "Database does not answer" : "Duty failed",
            metadata: ["duty": "\(duty.name)", "error": "\(error)"]
        )
    }
}

/// When a duty last had an answer of the database.
private final class LastAnswer: Sendable {
    private let state = Mutex(ContinuousClock.now)

    var instant: ContinuousClock.Instant { state.withLock { $0 } }

    func note(_ instant: ContinuousClock.Instant) {
        state.withLock { $0 = instant }
    }
}
