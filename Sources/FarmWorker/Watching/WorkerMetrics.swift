import FarmModel
package import Prometheus
package import Telemetry

/// What a worker tells of itself at its own endpoint, from before its model is loaded.
///
/// What coordinators tell of all workers has other names, so that no sum counts anything twice.
package final class WorkerMetrics: Sendable {
    let reader: WorkerReader
    let ledger: WorkerLedger

    let steps = Histogram(
        MetricDescription(
            "dreamfarm_worker_step_seconds",
            .histogram,
            unit: "seconds",
            help: "Time of each denoise step; steps that a step cache answers are left out"
        ),
        bounds: [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300]
    )
    let heartbeats = Counter(
        MetricDescription(
            "dreamfarm_worker_heartbeats_total",
            .counter,
            unit: "heartbeats",
            help: "Heartbeats, by whether the coordinator answered",
            labels: [MetricLabel("outcome", ["answered", "failed"])]
        )
    )

    /// Every family, in the order in which they are written.
    package let families: [any MetricFamily]

    /// The metrics of a worker that is about to begin.
    ///
    /// - Parameters:
    ///   - tracer: What begins its spans.
    ///   - now: The time, by which the age of a heartbeat is told.
    package init(
        tracer: FarmTracer = .off,
        now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }
    ) {
        reader = WorkerReader(now: now)
        ledger = WorkerLedger(steps: steps)
        families =
            Self.standing(reader) + Self.work(ledger) + [
                steps, heartbeats, tracer.family("dreamfarm_worker_trace_spans_total"), Self.build,
            ]
            + ProcessFamilies.all
    }

    /// Notes a heartbeat and whether it was answered.
    func note(heartbeatAnswered isAnswered: Bool) {
        heartbeats.add(1, isAnswered ? "answered" : "failed")
        if isAnswered { reader.noteAnswer() }
    }

    // MARK: - What its parts say

    private static func family(
        _ name: String,
        _ kind: MetricDescription.Kind,
        unit: String,
        help: String,
        labels: [MetricLabel] = [],
        _ read: @escaping @Sendable () -> [[String]: Double]
    ) -> ReadFamily {
        ReadFamily(
            MetricDescription(name, kind, unit: unit, help: help, labels: labels),
            read
        )
    }

    private static func standing(_ reader: WorkerReader) -> [any MetricFamily] {
        [
            family(
                "dreamfarm_worker_state",
                .gauge,
                unit: "1 or 0",
                help: "Where the worker stands: 1 at the one state that it is in",
                labels: [MetricLabel("state", WorkerState.allCases.map(\.rawValue).sorted())]
            ) { [[reader.readings.state.rawValue]: 1] },
            family(
                "dreamfarm_worker_registered",
                .gauge,
                unit: "1 or 0",
                help: "Whether the farm knows the worker"
            ) { [[]: reader.readings.leaseSeconds == nil ? 0 : 1] },
            family(
                "dreamfarm_worker_heartbeat_age_seconds",
                .gauge,
                unit: "seconds",
                help: "Time since the coordinator last answered, or since the start before it did"
            ) { [[]: reader.silence] },
            family(
                "dreamfarm_worker_held_attempts",
                .gauge,
                unit: "attempts",
                help: "Attempts that are claimed and not over, the one claimed ahead among them"
            ) { [[]: Double(reader.readings.held)] },
            family(
                "dreamfarm_worker_task_steps",
                .gauge,
                unit: "steps",
                help: "Steps of the picture that renders: done, and in all; 0 where none does",
                labels: [MetricLabel("kind", ["all", "done"])]
            ) {
                let step = reader.readings.step
                return [["done"]: Double(step.done), ["all"]: Double(step.of)]
            },
            family(
                "dreamfarm_worker_waiting_bytes",
                .gauge,
                unit: "bytes",
                help: "Pictures, checkpoints and conditions that wait for the coordinator"
            ) { [[]: Double(reader.readings.waitingBytes)] },
            family(
                "dreamfarm_worker_memory_bytes",
                .gauge,
                unit: "bytes",
                help: "Memory that rendering may use, and what is free for it; 0 where not known",
                labels: [MetricLabel("kind", ["allowed", "free"])]
            ) {
                let readings = reader.readings
                return [
                    ["allowed"]: Double(readings.memory),
                    ["free"]: Double(readings.freeMemory ?? 0),
                ]
            },
        ]
    }

    // MARK: - What it did

    private static func work(_ ledger: WorkerLedger) -> [any MetricFamily] {
        [
            family(
                "dreamfarm_worker_work_seconds_total",
                .counter,
                unit: "seconds",
                help: "The worker's time, by what became of it",
                labels: [
                    MetricLabel(
                        "kind",
                        ["cold_start", "lost_to_failure", "lost_to_preemption", "useful"]
                    )
                ]
            ) {
                let totals = ledger.totals
                return [
                    ["useful"]: totals.usefulSeconds, ["cold_start"]: totals.coldStartSeconds,
                    ["lost_to_failure"]: totals.lostToFailureSeconds,
                    ["lost_to_preemption"]: totals.lostToPreemptionSeconds,
                ]
            },
            family(
                "dreamfarm_worker_images_total",
                .counter,
                unit: "images",
                help: "Images that the worker delivered"
            ) { [[]: Double(ledger.counts.delivered)] },
            family(
                "dreamfarm_worker_attempts_total",
                .counter,
                unit: "attempts",
                help: "Attempts that are over for the worker; stale ones had lost their lease",
                labels: [
                    MetricLabel("outcome", ["failed", "parked", "released", "stale", "succeeded"])
                ]
            ) {
                let counts = ledger.counts
                return [
                    ["succeeded"]: Double(counts.succeeded), ["failed"]: Double(counts.failed),
                    ["released"]: Double(counts.released), ["parked"]: Double(counts.parked),
                    ["stale"]: Double(counts.stale),
                ]
            },
            family(
                "dreamfarm_worker_claims_total",
                .counter,
                unit: "attempts",
                help: "Attempts that the worker claimed"
            ) { [[]: Double(ledger.counts.claimed)] },
            family(
                "dreamfarm_worker_checkpoints_total",
                .counter,
                unit: "checkpoints",
                help: "Checkpoints that were stored, and those of earlier attempts gone on from",
                labels: [MetricLabel("kind", ["resumed", "stored"])]
            ) {
                let counts = ledger.counts
                return [
                    ["stored"]: Double(counts.checkpoints), ["resumed"]: Double(counts.resumed),
                ]
            },
            family(
                "dreamfarm_worker_conditions_total",
                .counter,
                unit: "conditions",
                help: "Conditions of pictures, by whether they were computed or at hand",
                labels: [MetricLabel("kind", ["computed", "found"])]
            ) {
                let totals = ledger.totals
                return [
                    ["computed"]: Double(totals.conditionsComputed),
                    ["found"]: Double(totals.conditionsFound),
                ]
            },
            family(
                "dreamfarm_worker_denoise_tokens_total",
                .counter,
                unit: "tokens",
                help: "Tokens times steps that went through the worker's denoiser"
            ) { [[]: Double(ledger.totals.denoiseTokens)] },
            family(
                "dreamfarm_worker_registrations_total",
                .counter,
                unit: "registrations",
                help: "How often the worker made itself known"
            ) { [[]: Double(ledger.counts.registrations)] },
        ]
    }

    private static var build: Gauge {
        Gauge(
            MetricDescription(
                "dreamfarm_worker_build_info",
                .info,
                unit: "1",
                help: "The worker's version",
                labels: [MetricLabel("version", [FarmSettings.version])]
            )
        )
    }
}
