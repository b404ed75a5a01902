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

    /// Every family of them.
    var families: [any MetricFamily] { [tasks, waiting, workers, groups, deadTuples] }

    /// Shows a sample.
    func show(_ sample: FarmGauges, waiting counts: [WaitingReason: Int]) {
        tasks.replace(sample.tasks.series)
        waiting.replace(counts.series)
        workers.replace(sample.workers.series)
        groups.replace(sample.groups.series)
        deadTuples.replace([[]: Double(sample.tables.values.reduce(0) { $0 + $1.dead })])
    }

    /// Shows nothing: another coordinator samples from now on.
    func clear() {
        for gauge in [tasks, waiting, workers, groups, deadTuples] { gauge.replace([:]) }
    }
}
