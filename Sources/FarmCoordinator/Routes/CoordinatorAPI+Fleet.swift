import FarmModel
import FarmStore
import Hummingbird

extension CoordinatorAPI {
    func addFleetRoutes(to table: RouteTable) {
        table.on(.get, "/v1/workers", query: ["lost"] + PageRequest.queryKeys, for: .least(.viewer))
        { request, context in
            let page = try PageRequest(request)
            let owner = try context.visibleOwner()
            let workers = try await store.workers(includingLost: request.flag("lost"))
            return try Response(
                message: page.page(ofAll: workers, cursor: { $0.id.description }) {
                    WorkerView($0, live, for: owner)
                }
            )
        }
        table.on(.get, "/v1/workers/{worker}", for: .least(.viewer)) { _, context in
            try Response(
                message: WorkerView(await worker(context), live, for: context.visibleOwner())
            )
        }
        table.on(
            .get,
            "/v1/workers/{worker}/attempts",
            query: PageRequest.queryKeys,
            for: .least(.viewer)
        ) { request, context in
            let page = try PageRequest(request)
            let attempts = try await store.attempts(
                of: worker(context).id,
                owner: context.visibleOwner(),
                before: page.cursor { AttemptID($0) },
                limit: page.limit + 1
            )
            return try Response(
                message: page.page(attempts, cursor: { $0.fence.attempt.description }) {
                    AttemptView($0, progress: live.step(of: $0.fence.attempt))
                }
            )
        }
        table.on(.delete, "/v1/workers/{worker}", for: .least(.operator)) { _, context in
            let worker = try await worker(context)
            guard try await store.removeWorker(worker.id, by: context.bearer().owner) else {
                throw WorkerDirectory.unknown(worker.id)
            }
            forgetWorkers([worker.id])
            return Response(status: .noContent)
        }
        let wishes: [(String, DesiredWorkerState)] = [
            ("drain", .drain), ("sleep", .sleep), ("wake", .run), ("quarantine", .quarantine),
        ]
        for (name, wish) in wishes {
            table.on(.post, "/v1/workers/{worker}/\(name)", for: .least(.operator)) {
                try await set($0, $1, wish)
            }
        }
        table.on(.get, "/v1/farm", for: .least(.viewer)) { _, _ in try await farm() }
        for (name, isPaused) in [("pause", true), ("resume", false)] {
            table.on(.post, "/v1/farm/\(name)", for: .least(.operator)) { _, context in
                try await store.setFarmPaused(isPaused, by: context.bearer().owner)
                return try await farm()
            }
            table.on(.post, "/v1/pools/{pool}/\(name)", for: .least(.operator)) { _, context in
                let pool = try context.part("pool") { $0 }
                let actor = try context.bearer().owner
                guard try await store.setPoolPaused(pool, isPaused, by: actor) else {
                    let known = try await store.pools().map(\.name).joined(separator: ", ")
                    throw CoordinatorProblem(
                        .notFound,
                        "no worker ever was in the pool '\(pool)'; known are: "
                            + (known.isEmpty ? "none" : known)
                    )
                }
                return try await farm()
            }
        }
    }

    /// Forgets workers that were removed, and the tokens that they showed.
    func forgetWorkers(_ ids: [WorkerID]) {
        for id in ids {
            live.forget(of: id, except: [])
            workers.forget(id)
            warm.forget(id)
        }
        tokens.forget()
    }

    /// The worker that the path names by its id or name.
    private func worker(_ context: Context) async throws -> WorkerRecord {
        let name = try context.part("worker") { $0 }
        let worker =
            if let id = WorkerID(name) {
                try await store.worker(id)
            } else {
                try await store.worker(named: name)
            }
        guard let worker else {
            throw CoordinatorProblem(.notFound, "there is no worker '\(name)'")
        }
        return worker
    }

    private func set(
        _ request: Request,
        _ context: Context,
        _ wish: DesiredWorkerState
    ) async throws -> Response {
        let message = try await request.message(or: WorkerStateRequest())
        let worker = try await worker(context)
        guard
            let changed = try await store.setWorker(
                worker.id,
                wish,
                reason: message.reason,
                by: context.bearer().owner
            )
        else { throw WorkerDirectory.unknown(worker.id) }
        return try Response(message: WorkerView(changed, live, for: nil))
    }

    private func farm() async throws -> Response {
        let record = try await store.farmRecord()
        let workers = try await store.workers()
        let pools = try await store.pools().map { pool in
            let members = workers.filter { $0.pool == pool.name }
            let idle = members.count { $0.state == .idle }
            let busy = members.count { $0.state == .busy }
            return PoolView(
                name: pool.name,
                isPaused: pool.isPaused,
                idle: idle,
                busy: busy,
                other: members.count - idle - busy
            )
        }
        let tables = try await store.hotTableCounts().map { name, rows in
            TableView(name: name, live: rows.live, dead: rows.dead)
        }
        return try Response(
            message: FarmView(
                isPaused: record.isPaused,
                pools: pools,
                tables: tables.sorted { $0.name < $1.name }
            )
        )
    }
}
