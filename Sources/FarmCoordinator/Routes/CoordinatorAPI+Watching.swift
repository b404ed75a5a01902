import FarmModel
import FarmStore
import FoundationEssentials
import Hummingbird

/// What people who run the farm look at: its size, its use and its health.
extension CoordinatorAPI {
    func addWatchingRoutes(to table: RouteTable) {
        table.on(.get, "/v1/capacity", for: .least(.viewer)) { _, _ in try await capacity() }
        table.on(.get, "/v1/usage", query: ["since", "until", "owner"], for: .least(.viewer)) {
            request,
            context in
            let query = request.uri.queryParameters
            let visible = try context.visibleOwner()
            let asked = query.get("owner")
            if let visible, let asked, asked != visible {
                return try Response(message: Page<UsageView>(items: []))
            }
            return try await Response(
                message: Page(
                    items: store.usage(
                        from: request.moment("since"),
                        until: request.moment("until"),
                        of: visible ?? asked
                    )
                )
            )
        }
        table.on(.get, "/v1/doctor", for: .least(.operator)) { _, _ in
            let doctor = FarmDoctor(
                store: store,
                blobs: blobs,
                blobReserve: settings.blobReserve,
                dataDirectory: settings.dataDirectory,
                certificateExpiry: settings.certificateExpiry()
            )
            return try await Response(message: doctor.examine())
        }
    }

    /// What the farm can do and what waits for it.
    private func capacity() async throws -> Response {
        let workers = try await store.workers().filter(\.takesTasks)
        let waiting = try await store.waitingCounts(blobs: reserve.room())
        let speed = workers.reduce(0) { $0 + $1.speed }
        return try Response(
            message: CapacityView(
                workers: workers.count,
                idle: workers.count { $0.state == .idle },
                flopsPerSecond: speed,
                leasedTasks: workers.reduce(0) { $0 + $1.leasedTasks },
                waitingTasks: waiting.values.reduce(0, +),
                waiting: Dictionary(
                    uniqueKeysWithValues: waiting.filter { $0.value > 0 }
                        .map { ($0.key.rawValue, $0.value) }
                ),
                pools: await store.capacity(within: settings.capacityTarget)
            )
        )
    }
}
