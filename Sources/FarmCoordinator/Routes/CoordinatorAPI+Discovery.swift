import FarmModel
import FarmStore
import HTTPTypes
import Hummingbird

/// Where Prometheus finds what to read: this coordinator, and the workers that listen.
extension CoordinatorAPI {
    /// What the names of its labels begin with.
    private static let prefix = "__meta_dreamfarm_"

    func addDiscoveryRoute(to table: RouteTable) {
        table.on(.get, "/v1/discovery", for: .least(.viewer)) { request, _ in
            try await Response(message: discovery(askedAt: request.head.authority))
        }
    }

    /// Refuses an address of a worker's metrics that is none.
    static func checkMetrics(of machine: MachineInfo?) throws {
        guard let address = machine?.metrics else { return }
        let isAddress = address.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "-.:[]_".utf8.contains(byte)
            }
        }
        guard isAddress, address.utf8.count <= 260, let read = ListenAddress(address), read.port > 0
        else {
            throw CoordinatorProblem(
                .malformed,
                "'machine.metrics' is a host and a port, as worker.example:9470"
            )
        }
    }

    /// This coordinator under the name by which it was asked, and every worker that told where its metrics
    /// are and is not lost.
    private func discovery(askedAt authority: String?) async throws -> [DiscoveryTarget] {
        var targets: [DiscoveryTarget] = []
        if let authority {
            targets.append(
                DiscoveryTarget(
                    targets: [authority],
                    labels: [
                        "__scheme__": settings.isEncrypted ? "https" : "http",
                        Self.prefix + "kind": "coordinator",
                    ]
                )
            )
        }
        for worker in try await store.workers() {
            let machine = try? FarmJSON.decode(MachineInfo.self, from: worker.info)
            guard let address = machine?.metrics else { continue }
            let known = [
                "kind": "worker", "name": worker.name, "id": "\(worker.id)", "pool": worker.pool,
                "model": worker.modelName, "precision": worker.precision,
            ]
            var labels = ["__scheme__": "http"]
            for (name, value) in known { labels[Self.prefix + name] = value }
            targets.append(DiscoveryTarget(targets: [address], labels: labels))
        }
        return targets
    }
}
