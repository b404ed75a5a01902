import FarmModel
import Prometheus

/// What groups tell of themselves in their members' heartbeats.
struct GroupMetrics: Sendable {
    private let formation = Histogram(
        MetricDescription(
            "dreamfarm_group_formation_seconds",
            .histogram,
            unit: "seconds",
            help: "Time from the reservation of a group's members, or a new epoch, to its start"
        ),
        bounds: [1, 2, 5, 10, 30, 60, 120, 300, 600]
    )
    private let steps = Counter(
        MetricDescription(
            "dreamfarm_group_steps_total",
            .counter,
            unit: "steps",
            help: "Denoise steps that groups computed"
        )
    )
    private let reduction = Histogram(
        MetricDescription(
            "dreamfarm_group_reduce_seconds",
            .histogram,
            unit: "seconds",
            help: """
                Time in which sums across the ranks were under way, for each denoise step at the first \
                rank: the mean of the steps between two heartbeats
                """
        ),
        bounds: [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30]
    )
    private let bytes = Counter(
        MetricDescription(
            "dreamfarm_group_reduce_bytes_total",
            .counter,
            unit: "bytes",
            help: "Bytes that all ranks of groups sent for their sums"
        )
    )
    private let waiting = Histogram(
        MetricDescription(
            "dreamfarm_group_wait_ratio",
            .histogram,
            unit: "ratio",
            help: """
                Share of a denoise step in which the first rank waited for other ranks: the mean of the \
                steps between two heartbeats
                """
        ),
        bounds: [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]
    )

    /// Every family of them.
    var families: [any MetricFamily] { [formation, steps, reduction, bytes, waiting] }

    /// Notes that a group is ready, so many seconds after its reservation.
    func note(formation seconds: Double) {
        formation.observe(seconds)
    }

    /// Notes what the member of a rank measured since its last heartbeat.
    func note(_ figures: GroupFigures, ofRank rank: Int) {
        bytes.add(figures.reduceBytes)
        // The first rank alone tells of steps.
        guard rank == 0, figures.steps > 0 else { return }
        steps.add(Double(figures.steps))
        reduction.observe(figures.reduceSeconds / Double(figures.steps), times: figures.steps)
        guard figures.stepSeconds > 0 else { return }
        waiting.observe(min(1, figures.waitSeconds / figures.stepSeconds), times: figures.steps)
    }
}
