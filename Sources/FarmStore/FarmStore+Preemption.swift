import FarmModel
import FoundationEssentials
import Postgres

/// What one run of the preemption duty did.
package struct PreemptionReport: Sendable, Hashable {
    /// Attempts that are to be parked.
    package var ordered = 0
    /// Tasks that a worker is to claim next.
    package var promised = 0

    package init() {}
}

/// What was decided does not hold any more: the transaction that would have written it ends.
private struct Overtaken: Error {}

extension FarmStore {
    /// How many tasks of a job are looked at in one run.
    private static let preemptionWidth = 64

    /// How long a promise is kept beyond a lease at most, in seconds.
    private static let longestPromise = 3600.0

    /// Lets tasks of a higher band take the place of those that render: the preemption duty, to be run
    /// every second.
    ///
    /// Where nothing that waits outranks anything that renders, it is two small queries. Orders and
    /// promises are rows: whichever coordinator hears the worker next passes them on.
    package func runPreemption() async throws -> PreemptionReport {
        var report = PreemptionReport()
        try await dropVoidPromises()
        guard configuration.preempts, try await isAnythingOutranked() else { return report }
        for decision in try await preemption().decisions() where try await carryOut(decision) {
            if decision.victim != nil { report.ordered += 1 }
            if decision.promise != nil { report.promised += 1 }
        }
        if report.promised > 0 { desk.expire() }
        return report
    }

    // MARK: - What is decided

    /// Whether some task that waits, or is held ahead, outranks one that renders; by indexes of the open
    /// heads, from those of what renders.
    private func isAnythingOutranked() async throws -> Bool {
        let waits = "NOT high.is_empty AND high.blocked_by IS NULL"
        let row = try await pool.query(
            """
            SELECT EXISTS (
                SELECT FROM (SELECT DISTINCT head_id FROM lease WHERE begun_at IS NOT NULL) AS run
                JOIN head AS low ON low.id = run.head_id
                WHERE NOT low.is_lifted AND (EXISTS (
                    SELECT FROM head AS high WHERE high.owner = low.owner
                        AND high.priority >= \(raw: Self.floorAbove("low")) AND \(raw: waits)
                ) OR EXISTS (
                    SELECT FROM head AS high WHERE high.is_lifted AND \(raw: waits)
                ) OR EXISTS (
                    SELECT FROM lease JOIN head AS high ON high.id = lease.head_id
                    WHERE lease.begun_at IS NULL AND (high.is_lifted OR high.owner = low.owner
                        AND high.priority >= \(raw: Self.floorAbove("low")))
                ))
            ) AS is_any
            """
        ).first
        return try row?.decode("is_any") ?? false
    }

    /// The lowest priority of the band above that of a head, as SQL; NULL above the highest.
    private static func floorAbove(_ head: String) -> String {
        let cases = PriorityBand.allCases.compactMap { band in
            band.above.map { "WHEN \(head).priority < \($0.floor) THEN \($0.floor)" }
        }
        return "(CASE \(cases.joined(separator: " ")) END)"
    }

    /// Reads what decides which task takes which place.
    private func preemption() async throws -> Preemption {
        let view = try await desk.read { try await readQueue() }
        let loads = try await workerLoads()
        let running = Set(loads.compactMap { $0.running?.standing })
        let heads = view.heads.filter { head in
            running.contains { head.standing.outranks($0) }
        }
        return Preemption(
            view: view,
            loads: loads,
            waiting: try await waitingTasks(of: heads),
            rules: PreemptionRules(
                quantumSeconds: configuration.preemptQuantum.inSeconds,
                mostParks: configuration.maxParks,
                noticeSeconds: configuration.heartbeat.inSeconds
            )
        )
    }

    private func waitingTasks(of heads: [HeadView]) async throws -> [WaitingTask] {
        guard !heads.isEmpty else { return [] }
        let known = Dictionary(uniqueKeysWithValues: heads.map { ($0.id, $0) })
        return try await pool.query(
            """
            SELECT part.* FROM unnest(\(heads.map(\.id))::bigint[]) AS choice (head_id)
            CROSS JOIN LATERAL (
                SELECT head_id, number, task_id, coalesce(avoid, '{}') AS avoid FROM ready
                WHERE ready.head_id = choice.head_id AND promised IS NULL
                ORDER BY number LIMIT \(Self.preemptionWidth)
            ) AS part
            """
        ).compactMap { row in
            guard let head = known[try row.decode("head_id")] else { return nil }
            return WaitingTask(
                task: try row.decode("task_id"),
                head: head,
                number: try row.decode("number"),
                avoid: Set(try row.decode("avoid", as: [String].self))
            )
        }
    }

    /// What workers hold; of several attempts that one has begun the last is what it renders, and the
    /// others are on their way to be delivered.
    private func workerLoads() async throws -> [WorkerLoad] {
        let rows = try await pool.query(
            """
            SELECT lease.worker_id, lease.task_id, lease.attempt_id, head.owner, head.priority,
                head.is_lifted, task.parks, lease.begun_at IS NOT NULL AS has_begun,
                coalesce(extract(epoch FROM now() - lease.begun_at), 0)::double precision AS age,
                lease.park_for IS NOT NULL OR worker.promised_task IS NOT NULL AS is_ordered,
                worker.parks AS can_park, worker.last_seen_at > now() - make_interval(
                    secs => \(configuration.heartbeat.inSeconds * 2.5)) AS is_heard,
                CASE WHEN worker.speed > 0 AND task.cost > 0 THEN rest.cost / worker.speed END AS rest,
                CASE WHEN worker.speed > 0 AND task.cost > 0 AND lease.steps > 0
                    THEN task.cost / task.image_count / lease.steps / worker.speed
                    ELSE lease.step_seconds END AS step_seconds,
                greatest(0, lease.step - coalesce(checkpoint.step, 0)) AS unsaved
            FROM lease JOIN worker ON worker.id = lease.worker_id JOIN task ON task.id = lease.task_id
            JOIN head ON head.id = lease.head_id
            LEFT JOIN checkpoint ON checkpoint.task_id = lease.task_id
                AND checkpoint.image_index = lease.image_index
            CROSS JOIN LATERAL (\(raw: Self.restOfLease)) AS rest
            ORDER BY lease.worker_id, lease.begun_at NULLS LAST, lease.claimed_at
            """
        )
        var loads: [WorkerID: WorkerLoad] = [:]
        for row in rows {
            let worker = try row.decode("worker_id", as: WorkerID.self)
            let held = HeldTask(
                task: try row.decode("task_id"),
                attempt: try row.decode("attempt_id"),
                standing: Standing(
                    owner: try row.decode("owner"),
                    priority: try row.decode("priority"),
                    isLifted: try row.decode("is_lifted")
                ),
                parks: try row.decode("parks"),
                ageSeconds: try row.decode("age"),
                restSeconds: try row.decodeIfPresent("rest"),
                stepSeconds: try row.decodeIfPresent("step_seconds"),
                unsavedSteps: try row.decode("unsaved")
            )
            var load = loads[worker] ?? WorkerLoad(worker: worker)
            load.parks = try row.decode("can_park")
            load.isHeard = try row.decode("is_heard")
            if try row.decode("is_ordered") { load.isOrdered = true }
            if try row.decode("has_begun") {
                load.running = held
            } else {
                load.ahead.append(held)
            }
            loads[worker] = load
        }
        return Array(loads.values)
    }

    // MARK: - What is done

    /// Writes a decision; false where something went on meanwhile, so that it does not hold any more.
    private func carryOut(_ decision: PreemptionDecision) async throws -> Bool {
        do {
            try await withRetriedTransaction { try await carryOut(decision, on: $0) }
            return true
        } catch is Overtaken {
            return false
        }
    }

    /// Takes the order of the locks: heads, leases, then the waiting task, for which it does not wait, then
    /// what the end of leases writes, then the worker.
    private func carryOut(
        _ decision: PreemptionDecision,
        on connection: PostgresConnection
    ) async throws {
        let ahead = decision.promise?.ahead ?? []
        let victim = decision.victim
        let held = try await lockLeases(
            of: (ahead + [victim].compactMap(\.self)).map(\.task),
            andHeads: [decision.promise?.head].compactMap(\.self),
            on: connection
        )
        if let promise = decision.promise {
            let isThere = try await requeueReady(
                decision.task,
                head: promise.head,
                number: promise.number,
                from: nil,
                to: decision.worker,
                on: connection
            )
            guard isThere else { throw Overtaken() }
        }
        if let victim {
            let ordered = try await connection.execute(
                """
                UPDATE lease SET park_for = \(decision.task)
                WHERE task_id = \(victim.task) AND attempt_id = \(victim.attempt)
                    AND begun_at IS NOT NULL AND park_for IS NULL
                """
            )
            guard ordered == 1 else { throw Overtaken() }
        }
        guard decision.promise != nil else { return }
        try await giveBack(ahead, held, on: connection)
        try await note(decision, on: connection)
    }

    /// Gives back what a worker holds ahead of what it was promised, and has not begun.
    private func giveBack(
        _ ahead: [HeldTask],
        _ held: [EndingLease],
        on connection: PostgresConnection
    ) async throws {
        guard !ahead.isEmpty else { return }
        let attempts = ahead.map(\.attempt)
        let still = Set(
            try await connection.query(
                """
                SELECT attempt_id FROM lease
                WHERE attempt_id = ANY(\(attempts)::uuid[]) AND begun_at IS NULL
                    AND task_id = ANY(\(ahead.map(\.task))::uuid[])
                """
            ).map { try $0.decode("attempt_id", as: AttemptID.self) }
        )
        guard still.count == attempts.count else { throw Overtaken() }
        let ends = held.filter { still.contains($0.attempt) }.map { ($0, AttemptEnd.released) }
        try await conclude(ends, on: connection)
    }

    /// Promises a task to its worker, which has no promise, and wakes its claim.
    private func note(
        _ decision: PreemptionDecision,
        on connection: PostgresConnection
    ) async throws {
        guard let promise = decision.promise else { return }
        // A step may take long, and the order comes with a heartbeat.
        let until = configuration.lease.inSeconds + min(2 * decision.seconds, Self.longestPromise)
        let noted = try await connection.execute(
            """
            UPDATE worker SET promised_task = \(decision.task), promised_head = \(promise.head),
                promised_number = \(promise.number),
                promised_until = now() + make_interval(secs => \(until))
            WHERE id = \(decision.worker) AND promised_task IS NULL AND \(raw: Self.isAtWork)
            """
        )
        guard noted == 1 else { throw Overtaken() }
        try await Self.notify(.ready, "promised", on: connection)
    }
}
