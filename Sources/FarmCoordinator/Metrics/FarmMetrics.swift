import FarmModel
import FarmStore
import Postgres
import Prometheus
import Telemetry

/// What a coordinator tells of itself and of its farm at `/metrics`.
///
/// Counters are of this process. What is read of the database is there while this coordinator has the
/// duty to sample it, so that a sum over all coordinators is right.
final class FarmMetrics: Sendable {
    let database = DatabaseGauges()
    let groups = GroupMetrics()

    let taskWait = Histogram(
        MetricDescription(
            "dreamfarm_task_wait_seconds",
            .histogram,
            unit: "seconds",
            help: "Time from the submission of its job to the first claim of a task"
        ),
        bounds: [1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400]
    )
    let claimDuration = Histogram(
        MetricDescription(
            "dreamfarm_claim_duration_seconds",
            .histogram,
            unit: "seconds",
            help: "Time that one try of a claim took, whether it found tasks or not"
        ),
        bounds: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5]
    )
    let placements = Counter(
        MetricDescription(
            "dreamfarm_placements_total",
            .counter,
            unit: "tasks",
            help: "Claimed tasks, by whether the worker had computed conditions of the job at hand",
            labels: [MetricLabel("warmth", ["cold", "warm"])]
        )
    )
    let staleWrites = Counter(
        MetricDescription(
            "dreamfarm_stale_writes_total",
            .counter,
            unit: "writes",
            help: "Writes that came after the end of their lease and changed nothing"
        )
    )
    let steps = Histogram(
        MetricDescription(
            "dreamfarm_step_seconds",
            .histogram,
            unit: "seconds",
            help: """
                Time of denoise steps, by precision and by how many workers render together: the mean \
                of the steps between two heartbeats; steps that a step cache answers are left out
                """,
            labels: [
                MetricLabel("precision", ["bfloat16", "float32", "int4", "int8"], isOpen: true),
                MetricLabel("group", ["1"], isOpen: true),
            ]
        ),
        bounds: [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300]
    )
    let denoiseTokens = Counter(
        MetricDescription(
            "dreamfarm_denoise_tokens_total",
            .counter,
            unit: "tokens",
            help: "Tokens times steps that went through the denoiser"
        )
    )
    let costRatio = Histogram(
        MetricDescription(
            "dreamfarm_cost_model_ratio",
            .histogram,
            unit: "ratio",
            help: """
                Seconds of arithmetic of attempts that succeeded, over those predicted when this \
                coordinator gave them out; attempts that went on from a checkpoint are left out
                """
        ),
        bounds: [0.1, 0.25, 0.5, 0.75, 0.9, 1.1, 1.25, 1.5, 2, 4, 10]
    )
    let busy = Counter(
        MetricDescription(
            "dreamfarm_worker_busy_seconds_total",
            .counter,
            unit: "seconds",
            help: "Workers' time, by what became of it",
            labels: [
                MetricLabel(
                    "kind",
                    ["cold_start", "lost_to_failure", "lost_to_preemption", "useful"]
                )
            ]
        )
    )
    let requests = Histogram(
        MetricDescription(
            "dreamfarm_http_request_duration_seconds",
            .histogram,
            unit: "seconds",
            help: """
                Time until a request's answer began, by the path of its route and the class of the \
                answer's status; long polls and refusals are among them
                """,
            labels: [
                MetricLabel("route", ["other"], isOpen: true),
                MetricLabel("status", ["2xx", "3xx", "4xx", "5xx"]),
            ]
        ),
        bounds: [0.005, 0.025, 0.1, 0.5, 2.5, 10, 30]
    )
    let duties = Gauge(
        MetricDescription(
            "dreamfarm_duty_held",
            .gauge,
            unit: "1 or 0",
            help: "Whether this coordinator has the duty; one coordinator at a time does",
            labels: [MetricLabel("duty", Duty.allCases.map(\.name).sorted())]
        )
    )
    let predictions = Predictions()

    /// Every family, in the order in which they are written.
    let families: [any MetricFamily]

    /// The metrics of a coordinator on a store, and of its traces.
    init(_ store: FarmStore, _ tracer: FarmTracer) {
        families =
            database.families
            + [
                taskWait, claimDuration, placements, Self.attempts(store), Self.images(store),
                Self.preemptions(store), Self.repeatedSteps(store), staleWrites,
                Self.expirations(store), Self.audits(store), steps, denoiseTokens, costRatio, busy,
            ] + groups.families
            + [
                requests, Self.connections(store), Self.webhooks(store),
                tracer.family("dreamfarm_trace_spans_total"), duties,
                Self.build,
            ]
            + ProcessFamilies.all
    }

    // MARK: - What is kept elsewhere

    private static func attempts(_ store: FarmStore) -> ReadFamily {
        ReadFamily(
            MetricDescription(
                "dreamfarm_attempts_total",
                .counter,
                unit: "attempts",
                help: "Attempts that this coordinator ended",
                labels: [MetricLabel("outcome", AttemptEnding.allCases.map(\.rawValue).sorted())]
            )
        ) { store.counts.attempts.series }
    }

    private static func images(_ store: FarmStore) -> ReadFamily {
        let outcomes = ImageState.allCases.filter(\.isFinal).map(\.rawValue).sorted()
        return ReadFamily(
            MetricDescription(
                "dreamfarm_images_total",
                .counter,
                unit: "images",
                help: "Images that were delivered, or given up, by this coordinator",
                labels: [MetricLabel("outcome", outcomes)]
            )
        ) { store.counts.images.series }
    }

    private static func preemptions(_ store: FarmStore) -> ReadFamily {
        ReadFamily(
            MetricDescription(
                "dreamfarm_preemptions_total",
                .counter,
                unit: "attempts",
                help: """
                    Attempts that were parked for a task of a higher band of priority, as this coordinator \
                    was told
                    """,
                labels: [MetricLabel("model", ["other"], isOpen: true)]
            )
        ) { store.counts.parks.seriesOfNames }
    }

    private static func repeatedSteps(_ store: FarmStore) -> ReadFamily {
        ReadFamily(
            MetricDescription(
                "dreamfarm_preemption_repeated_steps_total",
                .counter,
                unit: "steps",
                help:
                    "Steps of parked attempts that no checkpoint kept, and that are computed again",
                labels: [MetricLabel("model", ["other"], isOpen: true)]
            )
        ) { store.counts.repeatedSteps.seriesOfNames }
    }

    private static func expirations(_ store: FarmStore) -> ReadFamily {
        ReadFamily(
            MetricDescription(
                "dreamfarm_lease_expirations_total",
                .counter,
                unit: "leases",
                help: "Leases that ran out; what was claimed ahead of them is among them"
            )
        ) { [[]: Double(store.counts.expirations)] }
    }

    private static func audits(_ store: FarmStore) -> ReadFamily {
        let outcomes = PictureAuditState.allCases.filter(\.isFinal).map(\.rawValue).sorted()
        return ReadFamily(
            MetricDescription(
                "dreamfarm_audits_total",
                .counter,
                unit: "audits",
                help: """
                    Pictures that another worker was to render again, by what came of the comparison, as \
                    this coordinator decided
                    """,
                labels: [MetricLabel("outcome", outcomes)]
            )
        ) { store.counts.audits.series }
    }

    private static func connections(_ store: FarmStore) -> ReadFamily {
        ReadFamily(
            MetricDescription(
                "dreamfarm_database_pool_connections",
                .gauge,
                unit: "connections",
                help: "Connections to the database that rest or are taken, and who waits for one",
                labels: [MetricLabel("state", ["idle", "taken", "waiting"])]
            )
        ) {
            let counts = store.connections
            return [
                ["idle"]: Double(counts.idle), ["taken"]: Double(counts.taken),
                ["waiting"]: Double(counts.waiting),
            ]
        }
    }

    private static func webhooks(_ store: FarmStore) -> ReadFamily {
        ReadFamily(
            MetricDescription(
                "dreamfarm_webhook_deliveries_total",
                .counter,
                unit: "messages",
                help: """
                    Tries to send a message to a job's webhook; one that failed is tried again, one that \
                    is given up is not
                    """,
                labels: [
                    MetricLabel("outcome", WebhookOutcome.allCases.map(\.rawValue).sorted())
                ]
            )
        ) { store.counts.webhooks.series }
    }

    private static var build: Gauge {
        Gauge(
            MetricDescription(
                "dreamfarm_build_info",
                .info,
                unit: "1",
                help: "The coordinator's version",
                labels: [MetricLabel("version", [FarmSettings.version])]
            )
        )
    }
}

extension [String: Int] {
    /// The counts by the one label's value, which is a name.
    fileprivate var seriesOfNames: [[String]: Double] {
        [[String]: Double](uniqueKeysWithValues: map { ([$0.key], Double($0.value)) })
    }
}

extension Dictionary where Key: RawRepresentable<String>, Value == Int {
    /// The counts by the one label's value.
    var series: [[String]: Double] {
        Dictionary<[String], Double>(
            uniqueKeysWithValues: map { ([$0.key.rawValue], Double($0.value)) }
        )
    }
}
