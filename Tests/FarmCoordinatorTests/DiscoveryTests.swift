import FarmModel
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import TestSupport
import Testing

@testable import FarmCoordinator

@Suite(.database, .timeLimit(.minutes(10))) struct DiscoveryTests {
    private func machine(_ metrics: String?) -> MachineInfo {
        var machine = MachineInfo(host: "h", system: "s", processor: "p", threads: 1)
        machine.metrics = metrics
        return machine
    }

    @Test("a viewer's token finds the coordinator that it asks, and each worker that listens")
    func targets() async throws {
        try await TestFarm.withAPI(live: true) { farm in
            let worker = try await farm.register("w") {
                $0.machine = machine("worker.example:9470")
                $0.pool = "day"
            }
            _ = try await farm.register("silent") { $0.machine = machine(nil) }
            _ = try await farm.register("old")
            let token = try await farm.token("prometheus", .viewer)
            let response = try await farm.send(.get, "/v1/discovery", as: token)
            #expect(response.headers[.contentType]?.hasPrefix("application/json") == true)
            let found: [DiscoveryTarget] = try await farm.call(.get, "/v1/discovery", token: token)
            // The name by which the test's client asks.
            let own = DiscoveryTarget(
                targets: ["localhost"],
                labels: ["__scheme__": "http", "__meta_dreamfarm_kind": "coordinator"]
            )
            let other = DiscoveryTarget(
                targets: ["worker.example:9470"],
                labels: [
                    "__scheme__": "http", "__meta_dreamfarm_kind": "worker",
                    "__meta_dreamfarm_name": "w", "__meta_dreamfarm_id": "\(worker.id)",
                    "__meta_dreamfarm_pool": "day", "__meta_dreamfarm_model": "tiny",
                    "__meta_dreamfarm_precision": "float32",
                ]
            )
            #expect(found == [own, other])
            // The form that Prometheus reads, to the letter.
            let text = String(buffer: response.body)
            #expect(text.hasPrefix(#"[{"labels":{"__meta_dreamfarm_kind":"#))
        }
    }

    @Test("who may not see the metrics finds nothing")
    func access() async throws {
        try await TestFarm.withAPI { farm in
            let token = try await farm.token("w", .worker)
            #expect(try await farm.problem(.get, "/v1/discovery", token: token) == .notAllowed)
            let response = try await farm.send(.get, "/v1/discovery", headers: [:])
            #expect(response.status == .unauthorized)
        }
    }

    @Test("a worker that is lost is found no more")
    func lost() async throws {
        try await TestFarm.withAPI(live: true) { farm in
            _ = try await farm.register("w") { $0.machine = machine("127.0.0.1:1") }
            let before: [DiscoveryTarget] = try await farm.call(.get, "/v1/discovery")
            #expect(before.count == 2)
            _ = try await farm.send(.delete, "/v1/workers/w")
            let after: [DiscoveryTarget] = try await farm.call(.get, "/v1/discovery")
            #expect(after.map { $0.labels["__meta_dreamfarm_kind"] } == ["coordinator"])
        }
    }

    @Test(
        "an address that is none is refused",
        arguments: [
            "", "worker", "worker:0", "worker:99999", "a b:1", "http://a:1", "a/b:1", "é:1",
        ]
    )
    func badAddress(address: String) async throws {
        try await TestFarm.withAPI { farm in
            let request = farm.registration("w") { $0.machine = machine(address) }
            let problem = try await farm.problem(.post, "/v1/workers", request)
            #expect(problem == .malformed)
        }
    }
}
