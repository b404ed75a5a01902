import FarmModel
import FarmStore
import Prometheus

/// How the farm stands in the database, as it was last sampled; absent where this coordinator does
/// not sample it.
struct DatabaseGauges: Sendable {
    private let tasks = Gauge(
        MetricDescription(
            "dreamfarm_tasks",
            .gauge,
            unit: "tasks",
            help: "Tasks of the jobs that are kept",
            labels: [MetricLabel("state", TaskState.allCases.map(\.rawValue).sorted())]
        ),
        areAbsent: true
    )
    private let waiting = Gauge(
        MetricDescription(
            "dreamfarm_waiting_tasks",
            .gauge,
            unit: "tasks",
            help: "Tasks that wait, by the one reason that each has",
            labels: [MetricLabel("reason", WaitingReason.allCases.map(\.rawValue).sorted())]
        ),
        areAbsent: true
    )
    private let workers = Gauge(
        MetricDescription(
            "dreamfarm_workers",
            .gauge,
            unit: "workers",
            help: "Workers that are remembered",
            labels: [MetricLabel("state", WorkerState.allCases.map(\.rawValue).sorted())]
        ),
        areAbsent: true
    )
    private let groups = Gauge(
        MetricDescription(
            "dreamfarm_groups",
            .gauge,
            unit: "groups",
            help: "Groups that are remembered",
            labels: [MetricLabel("state", GroupState.allCases.map(\.rawValue).sorted())]
        ),
        areAbsent: true
    )
    private let deadTuples = Gauge(
        MetricDescription(
            "dreamfarm_database_dead_tuples",
            .gauge,
            unit: "rows",
            help: "Dead rows of the tables that claims use, as the server last counted them"
        ),
        areAbsent: true
    )

    private let recommended = Gauge(
        MetricDescription(
            "dreamfarm_capacity_recommended_workers",
            .gauge,
            unit: "workers",
            help:
                "Workers that finish what is queued within capacity-target and what is wanted in time",
            labels: [MetricLabel("pool", ["default"], isOpen: true)]
        ),
        areAbsent: true
    )
    private let work = Gauge(
        MetricDescription(
            "dreamfarm_capacity_work_seconds",
            .gauge,
            unit: "seconds",
            help: "What is queued and rendered, in the predicted time of one worker",
            labels: [MetricLabel("pool", ["default"], isOpen: true)]
        ),
        areAbsent: true
    )

    private let freeBytes = Gauge(
        MetricDescription(
            "dreamfarm_blob_store_free_bytes",
            .gauge,
            unit: "bytes",
            help: "Bytes that are free where blobs are kept; absent for a store that does not say"
        ),
        areAbsent: true
    )

    /// Every family of them.
    var families: [any MetricFamily] { gauges }

    private var gauges: [Gauge] {
        [tasks, waiting, workers, groups, deadTuples, recommended, work, freeBytes]
    }

    /// Shows a sample.
    func show(
        _ sample: FarmGauges,
        waiting counts: [WaitingReason: Int],
        capacity pools: [PoolCapacityView],
        freeBytes free: Int64?
    ) {
        freeBytes.replace(free.map { [[]: Double($0)] } ?? [:])
        recommended.replace(Self.series(pools) { Double($0.recommended) })
        work.replace(Self.series(pools) { $0.workSeconds ?? 0 })
        tasks.replace(sample.tasks.series)
        waiting.replace(counts.series)
        workers.replace(sample.workers.series)
        groups.replace(sample.groups.series)
        deadTuples.replace([[]: Double(sample.tables.values.reduce(0) { $0 + $1.dead })])
    }

    /// Shows nothing: another coordinator samples from now on.
    func clear() {
        for gauge in gauges { gauge.replace([:]) }
    }

    /// A figure of each pool; of the default one, zero where it is not there.
    private static func series(
        _ pools: [PoolCapacityView],
        _ figure: (PoolCapacityView) -> Double
    ) -> [[String]: Double] {
        pools.reduce(into: [["default"]: 0]) { $0[[$1.pool]] = figure($1) }
    }
}
