package import FarmModel
import FoundationEssentials
import Postgres

extension FarmStore {
    /// Ends an attempt that failed: its task is tried again, or failed for good with the reason.
    ///
    /// A repeated call is answered like the first.
    package func failAttempt(
        _ fence: AttemptFence,
        failure: AttemptFailure,
        totals: AttemptTotals = AttemptTotals()
    ) async throws -> AttemptOutcome {
        try await endAttempt(fence, .failed(failure), totals)
    }

    /// Ends an attempt that its worker gives back unharmed; nothing counts against the task but that
    /// the group which rendered it lost a member.
    ///
    /// A repeated call is answered like the first.
    package func releaseAttempt(
        _ fence: AttemptFence,
        lostMember: Bool = false,
        totals: AttemptTotals = AttemptTotals()
    ) async throws -> AttemptOutcome {
        let end = lostMember ? AttemptEnd.memberLost("rank 0 does not reach it") : .released
        return try await endAttempt(fence, end, totals)
    }

    private func endAttempt(
        _ fence: AttemptFence,
        _ end: AttemptEnd,
        _ totals: AttemptTotals
    ) async throws -> AttemptOutcome {
        guard let verdict = try await conclude(fence, end, totals) else {
            return try await answerRepeated(fence, end)
        }
        return .done(verdict.state)
    }

    /// Ends an attempt whose lease is current; nil when it is not, or when it has delivered fewer
    /// images than it must.
    func conclude(
        _ fence: AttemptFence,
        _ end: AttemptEnd,
        _ totals: AttemptTotals,
        delivered least: Int = 0
    ) async throws -> AttemptVerdict? {
        try await withRetriedTransaction { connection in
            let held = try await lockLeases(of: [fence.task], on: connection).first {
                $0.attempt == fence.attempt && $0.epoch == fence.epoch
            }
            guard let held, held.scope.delivered >= least else { return nil }
            var ends = [(held, end)]
            if case .memberLost = end {
                ends = try await endings(of: [held], byDeath: end, on: connection)
            }
            return try await conclude(ends, totals, on: connection).first
        }
    }

    /// Answers the end of an attempt that is over: by the same call before, or otherwise.
    func answerRepeated(_ fence: AttemptFence, _ end: AttemptEnd) async throws -> AttemptOutcome {
        let row = try await pool.query(
            """
            SELECT CASE WHEN task.state <> 'ready' THEN task.state
                WHEN EXISTS (SELECT FROM lease WHERE lease.task_id = task.id) THEN 'leased'
                ELSE 'ready' END AS state
            FROM attempt JOIN task ON task.id = attempt.task_id
            WHERE attempt.id = \(fence.attempt) AND attempt.task_id = \(fence.task)
                AND attempt.epoch = \(fence.epoch) AND attempt.outcome = \(end.outcome)
            """
        ).first
        return try row.map { .done(try $0.decode("state")) } ?? .stale
    }

    /// Writes the ends of attempts, whose leases are locked: history, tasks, images, what is tried
    /// again and by whom, events, counters, charges, and the ends of jobs.
    @discardableResult
    func conclude(
        _ ends: [(EndingLease, AttemptEnd)],
        _ totals: AttemptTotals = AttemptTotals(),
        on connection: PostgresConnection
    ) async throws -> [AttemptVerdict] {
        var ended: [(lease: EndingLease, end: AttemptEnd, verdict: AttemptVerdict)] = []
        for (lease, end) in ends {
            let verdict = AttemptVerdict(
                end,
                at: lease.scope,
                tally: lease.tally,
                configuration: configuration
            )
            try await endLease(lease, end, totals, on: connection)
            try await writeTask(lease, verdict, on: connection)
            if let parking = end.parking { try await notePark(of: lease, parking, on: connection) }
            if let failure = end.failure, end.blamesWorker {
                try await recordFailure(lease, failure, on: connection)
            }
            if verdict.state == .ready {
                try await requeue(lease, after: verdict.backoff, on: connection)
            }
            let failed = try await tell(lease, end, verdict, on: connection)
            if end.draft != nil { try await noteSuccess(of: lease.worker, on: connection) }
            connection.afterCommit { [counts] in
                counts.note(end.ending)
                counts.note(images: failed, .failed)
            }
            ended.append((lease, end, verdict))
        }
        log(ended, on: connection)
        return ended.map(\.verdict)
    }

    /// Deletes the lease, keeps its attempt, and charges the owner for what was computed.
    private func endLease(
        _ lease: EndingLease,
        _ end: AttemptEnd,
        _ totals: AttemptTotals,
        on connection: PostgresConnection
    ) async throws {
        try await connection.execute(
            """
            WITH ended AS (
                DELETE FROM lease WHERE task_id = \(lease.task)
                RETURNING *, \(lease.charge)::double precision AS charge,
                    greatest(busy_seconds, \(totals.busySeconds)) AS busy
            ), charged AS (
                \(raw: charging("charge", Self.workerSeconds(orBusy: "busy")))
            )
            INSERT INTO attempt (id, task_id, job_id, worker_id, worker_name, numeric_class, epoch,
                started_at, outcome, failure_class, failure_message, cost, steps_computed,
                conditions_computed, conditions_found, busy_seconds, parked_image, parked_step,
                parked_for)
            SELECT ended.attempt_id, ended.task_id, ended.job_id, ended.worker_id, worker.name,
                worker.numeric_class, ended.epoch, ended.claimed_at, \(end.outcome),
                \(end.failure?.failureClass), \(end.failure?.message), ended.charge,
                greatest(ended.steps_computed, \(totals.stepsComputed)),
                greatest(ended.conditions_computed, \(totals.conditionsComputed)),
                greatest(ended.conditions_found, \(totals.conditionsFound)),
                ended.busy,
                \(end.parking?.image?.asRowCount), \(end.parking?.step.asRowCount),
                \(end.parking?.visibleJob)
            FROM ended JOIN worker ON worker.id = ended.worker_id
            """
        )
    }

    private func writeTask(
        _ lease: EndingLease,
        _ verdict: AttemptVerdict,
        on connection: PostgresConnection
    ) async throws {
        let state = verdict.state
        let givenUp = verdict.givenUp == nil ? 0 : 1
        let drafted = state == .drafted ? 1 : 0
        // What was given up before keeps its reason, whatever comes after.
        try await connection.execute(
            """
            UPDATE task SET state = \(state), epoch = \(lease.epoch), attempts = attempts + 1,
                failures = \(verdict.tally.failures), lapses = \(verdict.tally.lapses),
                group_losses = \(verdict.tally.groupLosses), undelivered = undelivered - \(givenUp + drafted), given_up = given_up + \(givenUp),
                is_narrow = is_narrow OR \(verdict.narrows),
                failure_class = coalesce(\(verdict.failure?.failureClass),
                    CASE WHEN given_up > 0 THEN failure_class END),
                failure_message = coalesce(\(verdict.failure?.message),
                    CASE WHEN given_up > 0 THEN failure_message END),
                finished_at = CASE WHEN \(state.isFinal)::boolean THEN now() END
            WHERE id = \(lease.task)
            """
        )
    }

    /// Notes who failed the task: the worker is not to have it again while another can.
    ///
    /// After some failures in a job it gets none of the job while another can run it; what its machine
    /// was short of is not held against it.
    private func recordFailure(
        _ lease: EndingLease,
        _ failure: AttemptFailure,
        on connection: PostgresConnection
    ) async throws {
        // What cannot work anywhere is nobody's fault.
        guard failure.failureClass != .deterministic else { return }
        try await connection.execute(
            """
            INSERT INTO failure (task_id, job_id, attempt_id, worker_name, failure_class, message)
            VALUES (\(lease.task), \(lease.job), \(lease.attempt), \(lease.workerName),
                \(failure.failureClass), \(failure.message))
            """
        )
        guard failure.failureClass != .resource else { return }
        try await connection.execute(
            """
            INSERT INTO worker_block (job_id, worker_name)
            SELECT \(lease.job), \(lease.workerName) WHERE \(configuration.failuresToBlock) <= (
                SELECT count(*) FROM failure
                WHERE worker_name = \(lease.workerName) AND job_id = \(lease.job)
                    AND failure_class <> 'resource'
            )
            ON CONFLICT DO NOTHING
            """
        )
        try await connection.execute(
            """
            UPDATE worker SET failures_in_a_row = failures_in_a_row + 1 WHERE id = \(lease.worker)
            """
        )
    }

    private func requeue(
        _ lease: EndingLease,
        after backoff: Duration,
        on connection: PostgresConnection
    ) async throws {
        guard backoff > .zero else {
            return try await queueTasks([lease.task], restUntil: nil, on: connection)
        }
        try await connection.execute(
            """
            INSERT INTO resting (task_id, head_id, until, avoid)
            SELECT \(lease.task), \(lease.head),
                now() + make_interval(secs => \(backoff.inSeconds)),
                (SELECT array_agg(DISTINCT worker_name) FROM failure
                    WHERE failure.task_id = \(lease.task))
            """
        )
    }

    /// Lets live tasks be claimed, at once or from a moment on; their heads are locked.
    func queueTasks(
        _ tasks: [TaskID],
        restUntil: Date?,
        on connection: PostgresConnection
    ) async throws {
        if let restUntil {
            try await connection.execute(
                """
                INSERT INTO resting (task_id, head_id, until, avoid)
                SELECT id, head_id, \(restUntil), (
                    SELECT array_agg(DISTINCT worker_name) FROM failure
                    WHERE failure.task_id = task.id
                ) FROM task WHERE id = ANY(\(tasks)::uuid[])
                """
            )
            return
        }
        try await connection.execute(
            """
            UPDATE head SET is_empty = false WHERE is_empty AND id = ANY (ARRAY(
                SELECT head_id FROM task WHERE id = ANY(\(tasks)::uuid[])
            ))
            """
        )
        try await connection.execute(
            """
            WITH rested AS (DELETE FROM resting WHERE task_id = ANY(\(tasks)::uuid[]))
            INSERT INTO ready (head_id, number, task_id, job_id, epoch, first_index, image_count,
                cost, is_narrow, avoid)
            SELECT head_id, number, id, job_id, epoch, first_index, image_count, cost, is_narrow, (
                SELECT array_agg(DISTINCT worker_name) FROM failure
                WHERE failure.task_id = task.id
            ) FROM task WHERE id = ANY(\(tasks)::uuid[])
            """
        )
        try await Self.notify(.ready, "tasks", on: connection)
    }

    /// Writes what the end of an attempt means for its images and its job, with the events, and
    /// returns how many images failed.
    private func tell(
        _ lease: EndingLease,
        _ end: AttemptEnd,
        _ verdict: AttemptVerdict,
        on connection: PostgresConnection
    ) async throws -> Int {
        var failed: [Row] = []
        if verdict.givenUp(of: lease.scope.todo.count) > 0 {
            failed = try await connection.query(
                """
                UPDATE image SET state = 'failed', failure_class = \(verdict.failure?.failureClass),
                    failure_message = \(verdict.failure?.message)
                FROM task WHERE task.id = \(lease.task) AND image.job_id = task.job_id
                    AND image.index BETWEEN task.first_index
                        AND task.first_index + task.image_count - 1
                    AND image.state = 'waiting'
                    AND (\(verdict.givenUp)::integer IS NULL OR image.index = \(verdict.givenUp))
                RETURNING image.id, image.index
                """
            )
        }
        var kinds: [String] = []
        var bodies: [String] = []
        if let kind = end.event {
            var data = EventData()
            if let draft = end.draft {
                data.image = try await writeDraft(draft, of: lease, on: connection)
                data.index = draft.imageIndex
                data.step = draft.step
                data.digest = draft.digest
                data.size = draft.size
            }
            data.task = lease.task
            data.attempt = lease.attempt
            data.worker = lease.workerName
            if let parking = end.parking {
                data.index = parking.image
                data.step = parking.step
                data.repeatedSteps = parking.repeatedSteps
                data.job = parking.visibleJob
            }
            data.failure = end.failure.map {
                FailureView(failureClass: $0.failureClass, message: $0.message)
            }
            kinds.append(kind)
            bodies.append(try FarmJSON.text(data))
        }
        for row in failed {
            var data = EventData()
            data.image = try row.decode("id")
            data.index = try row.decode("index")
            data.task = lease.task
            data.failure = verdict.failure.map {
                FailureView(failureClass: $0.failureClass, message: $0.message)
            }
            kinds.append("image.failed")
            bodies.append(try FarmJSON.text(data))
        }
        try await settle(
            lease.job,
            failed: failed.count,
            ended: verdict.state.isFinal ? 1 : 0,
            drafted: verdict.state == .drafted ? 1 : 0,
            kinds,
            bodies,
            on: connection
        )
        return failed.count
    }

    /// Changes a job's counters under its lock, writes events, and ends the job with its last task, or tells
    /// that nothing but drafts is left of it.
    private func settle(
        _ job: JobID,
        failed: Int,
        ended: Int,
        drafted: Int,
        _ kinds: [String],
        _ bodies: [String],
        on connection: PostgresConnection
    ) async throws {
        let settled = try await connection.query(
            """
            WITH settled AS (
                UPDATE job SET failed_count = failed_count + \(failed),
                    live_task_count = live_task_count - \(ended),
                    drafted_count = drafted_count + \(drafted),
                    event_count = event_count + \(kinds.count) + (\(ended + drafted) > 0
                        AND live_task_count - \(ended) = drafted_count + \(drafted)
                        AND (live_task_count = \(ended) OR state = 'running'))::integer,
                    state = CASE WHEN \(ended) = 0 OR live_task_count > \(ended) THEN state
                        WHEN failed_count + \(failed) + cancelled_count > dropped_count THEN 'failed'
                        ELSE 'succeeded' END,
                    finished_at = CASE WHEN \(ended) > 0 AND live_task_count = \(ended)
                        THEN now() ELSE finished_at END
                WHERE id = \(job)
                RETURNING id, owner, event_count, \(raw: Self.jobState) AS state, webhook,
                    \(ended + drafted) > 0 AND live_task_count = drafted_count
                        AND (live_task_count = 0 OR state = 'running') AS is_over
            ), told AS (
                INSERT INTO event (job_id, number, kind, data)
                SELECT settled.id, settled.event_count - settled.is_over::integer
                    - \(kinds.count) + new.place, new.kind, new.data::jsonb
                FROM settled CROSS JOIN unnest(\(kinds)::text[], \(bodies)::text[])
                    WITH ORDINALITY AS new (kind, data, place)
                UNION ALL
                SELECT id, event_count, 'job.' || state, '{}' FROM settled WHERE is_over
            ), hooked AS (
                INSERT INTO webhook (job_id, url, body)
                SELECT id, webhook, jsonb_build_object('job', id, 'event', 'job.' || state,
                    'number', event_count)
                FROM settled WHERE is_over AND webhook IS NOT NULL
            )
            SELECT pg_notify('farm_event', id::text), owner, state, is_over FROM settled
            """
        ).first
        guard let settled, try settled.decode("is_over") else { return }
        let state = try settled.decode("state", as: JobState.self)
        log(
            "Job \(state.rawValue)",
            ["job": "\(job)", "owner": try settled.decode("owner")],
            on: connection
        )
    }
}

extension AttemptEnd {
    /// The kind of the event that tells of it; nil where the deliveries tell already.
    fileprivate var event: String? {
        switch self {
        case .succeeded: nil
        case .failed: "task.failed_attempt"
        case .lapsed, .replaced: "task.lapsed"
        case .released, .memberLost: "task.released"
        case .parked: EventKind.taskParked.rawValue
        case .drafted: EventKind.imageDrafted.rawValue
        }
    }
}

extension AttemptVerdict {
    /// The state of the task after it.
    var state: TaskState {
        guard let state = TaskState.leased.state(after: event) else {
            preconditionFailure("A leased task knows no event \(event)")
        }
        return state
    }
}
