import FarmModel
import Synchronization
import Telemetry
import Tracing

/// The spans of an attempt: of the whole of it, of each picture, and of what is done for that.
final class AttemptTrace: Sendable {
    /// How many steps of a picture have spans of their own.
    private static let mostSteps = 100

    private struct State {
        /// The picture that renders.
        var picture: FarmSpan?
        /// What is done for it.
        var phase: FarmSpan?
        /// When its last step ended, or its phase began.
        var since = Timestamp.now()
        var steps = 0
        var outcome = "lost"
        var failure: String?
    }

    private let tracer: FarmTracer
    private let task: FarmSpan
    private let state = Mutex(State())

    /// The spans of an attempt that begins, as part of the trace that came with it.
    init(_ assignment: TaskAssignment, _ tracer: FarmTracer, worker: String) {
        self.tracer = tracer
        task = tracer.span(
            "task",
            in: TraceContext(
                traceparent: assignment.traceparent,
                tracestate: assignment.tracestate
            ),
            .consumer,
            [
                "dreamfarm.job.id": "\(assignment.job)",
                "dreamfarm.task.id": "\(assignment.fence.task)",
                "dreamfarm.attempt.id": "\(assignment.fence.attempt)",
                "dreamfarm.worker.name": "\(worker)",
                "dreamfarm.images": .int64(Int64(assignment.images.count)),
            ]
        )
    }

    /// Where in the trace the attempt is.
    private var place: TraceContext? { task.context.trace }

    // MARK: - What is done

    /// Does something as part of the attempt, with a span of its own.
    func span<Result>(
        _ name: String,
        _ kind: SpanKind = .internal,
        image: Int? = nil,
        _ body: () async throws -> Result
    ) async rethrows -> Result {
        try await tracer.withSpan(name, context: task.context, ofKind: kind) { span in
            if let image { span.updateAttributes { $0["dreamfarm.image.index"] = image } }
            return try await body()
        }
    }

    /// A picture begins: its conditions are encoded, or found.
    func begin(image index: Int, steps: Int) {
        let picture = tracer.span(
            "picture",
            in: place,
            .internal,
            [
                "dreamfarm.image.index": .int64(Int64(index)),
                "dreamfarm.image.steps": .int64(Int64(steps)),
            ]
        )
        state.withLock { state in
            state.picture = picture
            state.phase = tracer.span("encode", in: picture.context.trace)
            state.steps = 0
        }
    }

    /// Its conditions are there: its steps begin.
    func beginSteps(computed: Int, found: Int) {
        state.withLock { state in
            state.phase?.updateAttributes {
                $0["dreamfarm.conditions.computed"] = computed
                $0["dreamfarm.conditions.found"] = found
            }
            state.phase?.end()
            state.phase = nil
            state.since = .now()
        }
    }

    /// A step is done.
    func step(_ number: Int, wasCached: Bool) {
        state.withLock { state in
            let now = Timestamp.now()
            defer { state.since = now }
            // Not every renderer says that it has its conditions.
            state.phase?.end()
            state.phase = nil
            state.steps += 1
            guard state.steps <= Self.mostSteps, let picture = state.picture else { return }
            let span = tracer.span(
                "step",
                in: picture.context.trace,
                at: state.since,
                [
                    "dreamfarm.step": .int64(Int64(number)),
                    "dreamfarm.step.cached": .bool(wasCached),
                ]
            )
            span.end(at: now)
        }
    }

    /// Its steps are done: the picture is decoded.
    func beginDecoding() {
        state.withLock { state in
            state.phase?.end()
            state.phase = tracer.span("decode", in: state.picture?.context.trace)
        }
    }

    /// The picture is there, or an error in its place.
    func endPicture(_ error: (any Error)? = nil) {
        state.withLock { state in
            let left = state.steps - Self.mostSteps
            if left > 0 {
                state.picture?.updateAttributes { $0["dreamfarm.steps.omitted"] = left }
            }
            for span in [state.phase, state.picture].compactMap(\.self) {
                if let error, !(error is RenderingStopped) {
                    span.fail("\(error)")
                } else {
                    span.end()
                }
            }
            state.phase = nil
            state.picture = nil
        }
    }

    // MARK: - Its end

    /// Notes how it ended.
    func note(_ end: AttemptEnd) {
        let (outcome, failure): (String, String?) =
            switch end {
            case .completed: ("succeeded", nil)
            case .failed(let failure): ("failed", failure.message)
            case .released: ("released", nil)
            case .parked: ("parked", nil)
            case .drafted: ("drafted", nil)
            }
        state.withLock { state in
            state.outcome = outcome
            state.failure = failure
        }
    }

    /// The attempt is over for the worker.
    func end() {
        endPicture()
        let (outcome, failure) = state.withLock { ($0.outcome, $0.failure) }
        task.updateAttributes { $0["dreamfarm.attempt.outcome"] = outcome }
        if let failure { task.fail(failure) } else { task.end() }
    }
}
