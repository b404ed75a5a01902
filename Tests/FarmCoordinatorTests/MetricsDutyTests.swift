import FarmModel
import FarmStore
import FoundationEssentials
import HTTPTypes
import HummingbirdTesting
import Logging
import Prometheus
import TestSupport
import Testing

@testable import FarmCoordinator

@Suite(.database, .timeLimit(.minutes(10))) struct MetricsDutyTests {
    /// The sampling duty of an API, as its coordinator runs it.
    private func service(_ farm: TestFarm) -> PeriodicService {
        GaugesDuty.service(
            farm.store,
            reserve: farm.api.reserve,
            gauges: farm.api.metrics.database,
            capacityTarget: .seconds(900),
            outage: DatabaseOutage(),
            logger: Logger(label: "test")
        ).telling(farm.api.metrics.note(_:isHeld:))
    }

    /// Waits until a condition holds; the suite's time limit bounds it.
    private func wait(until condition: () async throws -> Bool) async throws {
        while try await !condition() { try await Task.sleep(for: .milliseconds(20)) }
    }

    private func isSampling(_ farm: TestFarm) -> Bool {
        farm.api.metrics.database.families.allSatisfy { !$0.series().isEmpty }
    }

    private func isSilent(_ farm: TestFarm) -> Bool {
        farm.api.metrics.database.families.allSatisfy { $0.series().isEmpty }
    }

    @Test("one of two coordinators shows the database, and the other once that one is gone")
    func holders() async throws {
        try await TestFarm.withAPI { first in
            _ = try await first.register()
            _ = try await first.submit("parameters: {prompt: a, seed: 1-3}\nchunk: {count: 1}")
            try await TestFarm.withAPI { second in
                let holder = Task { try await service(first).run() }
                defer { holder.cancel() }
                try await wait { isSampling(first) }
                let other = Task { try await service(second).run() }
                defer { other.cancel() }
                let scrape = try await first.scrape()
                #expect(scrape["dreamfarm_tasks{state=\"ready\"}"] == 3)
                #expect(scrape["dreamfarm_waiting_tasks{reason=\"behind\"}"] == 3)
                #expect(scrape["dreamfarm_workers{state=\"starting\"}"] == 1)
                #expect(scrape["dreamfarm_groups{state=\"ready\"}"] == 0)
                #expect(scrape["dreamfarm_database_dead_tuples"] != nil)
                #expect(scrape["dreamfarm_blob_store_free_bytes"] ?? 0 > 0)
                #expect(scrape["dreamfarm_duty_held{duty=\"gauges\"}"] == 1)
                #expect(isSilent(second))
                #expect(try await second.scrape()["dreamfarm_duty_held{duty=\"gauges\"}"] == 0)
                holder.cancel()
                _ = try await holder.value
                #expect(isSilent(first))
                #expect(try await first.scrape()["dreamfarm_duty_held{duty=\"gauges\"}"] == 0)
                try await wait { isSampling(second) }
                #expect(isSilent(first))
                other.cancel()
                _ = try await other.value
            }
        }
    }

    @Test("a group's forming and its sums are counted from its members' heartbeats")
    func groups() async throws {
        try await TestFarm.withAPI { farm in
            var workers: [RegistrationAnswer] = []
            for name in ["a", "b"] {
                workers.append(try await farm.register(name) { $0.group = GroupOffer() })
            }
            let made: GroupView = try await farm.call(
                .post,
                "/v1/groups",
                GroupRequest(workers: ["a", "b"], name: "pair")
            )
            func beat(
                _ rank: Int,
                _ figures: GroupFigures?,
                steps: Int = 0
            ) async throws {
                var request = HeartbeatRequest(epoch: workers[rank].epoch)
                var standing = GroupStanding(
                    group: made.id,
                    epoch: made.epoch,
                    rank: rank,
                    phase: .ready
                )
                standing.figures = figures
                request.group = standing
                if steps > 0 {
                    var own = WorkerFigures()
                    own.measuredSteps = steps
                    own.measuredStepSeconds = 8
                    own.groupSize = 2
                    request.figures = own
                }
                let path = "/v1/workers/\(workers[rank].id)/heartbeat"
                _ = try await farm.call(.post, path, request, as: HeartbeatAnswer.self)
            }
            for rank in [0, 1] { try await beat(rank, nil) }
            _ = try await farm.submit("parameters: {prompt: a}\nrequirements: {group: 2}")
            let lead = GroupEpoch(group: made.id, epoch: made.epoch)
            _ = try await farm.task(workers[0].id, for: lead)
            var figures = GroupFigures()
            figures.reduceSeconds = 2
            figures.reduceBytes = 1000
            figures.waitSeconds = 1
            try await beat(1, figures)
            figures.steps = 4
            figures.stepSeconds = 8
            try await beat(0, figures, steps: 4)
            let scrape = try await farm.scrape()
            for (name, value) in [
                "dreamfarm_group_formation_seconds_count": 1.0,
                "dreamfarm_group_steps_total": 4, "dreamfarm_group_reduce_bytes_total": 2000,
                "dreamfarm_group_reduce_seconds_count": 4,
                "dreamfarm_group_reduce_seconds_sum": 2,
                "dreamfarm_group_wait_ratio_count": 4, "dreamfarm_group_wait_ratio_sum": 0.5,
                "dreamfarm_step_seconds_sum{precision=\"float32\",group=\"2\"}": 8,
            ] { #expect(scrape[name] == value, "\(name)") }
            #expect(try await farm.store.gauges().groups[.busy] == 1)
            // What members have done counts as the group's when they tell it after the group's end, too.
            let dissolved = try await farm.send(.post, "/v1/groups/\(made.id)/dissolve?now=true")
            #expect(dissolved.status == .ok)
            try await beat(0, figures, steps: 4)
            let end = try await farm.scrape()
            #expect(end["dreamfarm_group_steps_total"] == 8)
            #expect(end["dreamfarm_step_seconds_count{precision=\"float32\",group=\"2\"}"] == 8)
        }
    }
}
