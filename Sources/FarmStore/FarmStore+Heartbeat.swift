package import FarmModel
import Postgres

/// The answer to a heartbeat.
package enum HeartbeatOutcome: Sendable, Hashable {
    /// There is no such worker, or another process has its name: it has to register again.
    case unknownWorker
    case answer(HeartbeatRecord)
}

/// What a heartbeat is answered with.
package struct HeartbeatRecord: Sendable, Hashable {
    /// The attempts whose leases run on.
    package var extended: [AttemptFence] = []
    /// Attempts to stop, since their job was cancelled or given up; they are fenced off already.
    package var cancel: [CancelOrder] = []
    /// Attempts whose lease is over.
    package var stale: [AttemptID] = []
    /// Attempts that are to make room for a task of a higher band.
    package var park: [AttemptID] = []
    package var state: WorkerState
    package var desiredState: DesiredWorkerState
    /// Why it is wanted.
    package var stateReason: String?
    /// What it is to be in a group; nil: it belongs to none.
    package var group: GroupOrder?
    /// Whether its group waits for what its members say next.
    package var isForming = false
    /// How long its group took from the reservation on, in seconds; set in the heartbeat with which the
    /// group became ready.
    package var formationSeconds: Double?
}

extension FarmStore {
    /// How much of a worker's speed a new measurement makes.
    private static let speedGain = 0.2

    /// Extends the leases of the attempts that a worker holds, notes how far they are, and says
    /// what to stop.
    ///
    /// One statement for any number of attempts. The worker's speed follows its steps' times, so
    /// that predictions come true: as the worker tells it, which knows what a step of its images costs. Of one
    /// that does not tell, the whole image's cost over its steps' time has to do.
    package func heartbeat(
        worker: WorkerID,
        _ beat: HeartbeatRequest
    ) async throws -> HeartbeatOutcome {
        let formationSeconds =
            if let standing = beat.group {
                try await note(standing, of: worker, epoch: beat.epoch)
            } else { Double?.none }
        let rows = try await beatRows(worker, beat)
        guard let first = rows.first else { return .unknownWorker }
        var record = HeartbeatRecord(
            state: try first.decode("state"),
            desiredState: try first.decode("desired_state"),
            stateReason: try first.decodeIfPresent("state_reason")
        )
        record.formationSeconds = formationSeconds
        if try first.decode("is_member"), let (order, isForming) = try await groupOrder(of: worker)
        {
            record.group = order
            record.isForming = isForming
        }
        let held = Set(
            try rows.compactMap { try $0.decodeIfPresent("attempt_id", as: AttemptID.self) }
        )
        record.park = try rows.filter { try $0.decodeIfPresent("parks") ?? false }
            .map { try $0.decode("attempt_id") }
        for fence in beat.fences {
            if held.contains(fence.attempt) {
                record.extended.append(fence)
            } else {
                record.stale.append(fence.attempt)
            }
        }
        record.cancel = try await cancelled(among: record.stale)
        let isCancelled = Set(record.cancel.map(\.attempt))
        record.stale.removeAll { isCancelled.contains($0) }
        return .answer(record)
    }

    private func beatRows(_ worker: WorkerID, _ beat: HeartbeatRequest) async throws -> [Row] {
        let spoken =
            beat.running.map { ($0, true) }
            + beat.ahead.map { (AttemptProgress(fence: $0), false) }
        let attempts = spoken.map(\.0)
        let costs = attempts.map { AttemptTotals($0.report) }
        let isLeaving = beat.state == .draining
        return try await pool.query(
            """
            WITH spoken AS (
                SELECT task_id, attempt_id, epoch, nullif(image, -1) AS image, step, steps,
                    nullif(seconds, -1) AS seconds, has_begun, computed, encoded, found, busy
                FROM unnest(\(attempts.map(\.fence.task))::uuid[],
                    \(attempts.map(\.fence.attempt))::uuid[],
                    \(attempts.map(\.fence.epoch))::bigint[],
                    \(attempts.map { $0.image?.asRowCount ?? -1 })::integer[],
                    \(attempts.map(\.step.asRowCount))::integer[],
                    \(attempts.map(\.steps.asRowCount))::integer[],
                    \(attempts.map { Self.measured($0.stepSeconds) ?? -1 })::real[],
                    \(spoken.map(\.1))::boolean[],
                    \(costs.map(\.stepsComputed))::bigint[],
                    \(costs.map(\.conditionsComputed))::integer[],
                    \(costs.map(\.conditionsFound))::integer[],
                    \(costs.map(\.busySeconds))::double precision[])
                    AS beat (task_id, attempt_id, epoch, image, step, steps, seconds, has_begun,
                        computed, encoded, found, busy)
            ),
            held AS (
                SELECT lease.task_id, (spoken.image, spoken.step)
                        IS DISTINCT FROM (lease.image_index, lease.step) AS has_stepped,
                    spoken.image, spoken.step, spoken.steps, spoken.seconds, spoken.has_begun,
                    spoken.computed, spoken.encoded, spoken.found, spoken.busy
                FROM lease JOIN spoken USING (task_id, attempt_id, epoch)
                WHERE lease.worker_id = \(worker)
                    AND EXISTS (SELECT FROM worker WHERE worker.id = \(worker)
                        AND (\(beat.epoch)::bigint = 0 OR worker.epoch = \(beat.epoch)))
                ORDER BY lease.task_id FOR NO KEY UPDATE OF lease
            ),
            extended AS (
                UPDATE lease SET
                    deadline = now() + make_interval(secs => \(configuration.lease.inSeconds)),
                    begun_at = CASE WHEN held.has_begun THEN coalesce(begun_at, now()) END,
                    stepped_at = CASE WHEN held.has_begun AND (held.has_stepped
                        OR stepped_at IS NULL) THEN now() ELSE stepped_at END,
                    image_index = held.image, step = held.step, steps = held.steps,
                    step_seconds = coalesce(held.seconds, lease.step_seconds),
                    steps_computed = greatest(steps_computed, held.computed),
                    conditions_computed = greatest(conditions_computed, held.encoded),
                    conditions_found = greatest(conditions_found, held.found),
                    busy_seconds = greatest(busy_seconds, held.busy)
                FROM held WHERE lease.task_id = held.task_id
                RETURNING lease.task_id, lease.attempt_id,
                    held.has_begun AND lease.park_for IS NOT NULL AS parks
            ),
            measured AS (
                SELECT CASE WHEN count(*) > 0 THEN coalesce(\(Self.told(beat.speed))::double precision,
                    avg(task.cost / task.image_count / held.steps / held.seconds)) END AS speed
                FROM held JOIN task ON task.id = held.task_id
                WHERE held.has_stepped AND held.seconds > 0 AND held.steps > 0
                    AND task.cost > 0
            ),
            heard AS (
                UPDATE worker SET last_seen_at = now(), clock_offset = coalesce(
                        extract(epoch FROM \(beat.sentAt)::timestamptz - clock_timestamp())
                            ::double precision, clock_offset),
                    speed = CASE WHEN measured.speed IS NULL THEN worker.speed
                        WHEN worker.speed = 0 THEN measured.speed
                        ELSE worker.speed + \(Self.speedGain) * (measured.speed - worker.speed)
                        END,
                    state = \(raw: Self.stateAfterBeat(isLeaving, beat.state == .starting))
                FROM measured
                WHERE id = \(worker) AND (\(beat.epoch)::bigint = 0 OR epoch = \(beat.epoch))
                RETURNING state, desired_state, state_reason, group_id IS NOT NULL AS is_member
            )
            SELECT heard.state, heard.desired_state, heard.state_reason, heard.is_member,
                extended.attempt_id, extended.parks
            FROM heard LEFT JOIN extended ON true
            """
        )
    }

    /// The worker's next state as SQL, from what is wanted of it and what it holds.
    ///
    /// Who holds nothing and is to take nothing sleeps.
    private static func stateAfterBeat(_ isLeaving: Bool, _ isStarting: Bool) -> String {
        let holds = "EXISTS (SELECT FROM lease WHERE lease.worker_id = worker.id)"
        return """
            CASE WHEN desired_state = 'quarantine' THEN 'quarantined'
                WHEN desired_state IN ('drain', 'sleep') OR \(isLeaving)
                    THEN CASE WHEN \(holds) THEN 'draining' ELSE 'asleep' END
                WHEN \(isStarting) AND state IN ('starting', 'lost') THEN 'starting'
                WHEN EXISTS (SELECT FROM extended) THEN 'busy' ELSE 'idle' END
            """
    }

    /// A speed where it is one.
    private static func told(_ speed: Double?) -> Double? {
        speed.flatMap { (1...1e24).contains($0) ? $0 : nil }
    }

    /// A step's time where it is one.
    private static func measured(_ seconds: Double?) -> Double? {
        guard let seconds, seconds.isFinite, seconds > 1e-6, seconds < 1e6 else { return nil }
        return seconds
    }

    /// Those of the attempts that were ended by a cancellation, with its mode.
    private func cancelled(among attempts: [AttemptID]) async throws -> [CancelOrder] {
        guard !attempts.isEmpty else { return [] }
        let rows = try await pool.query(
            """
            SELECT attempt.id, coalesce((
                SELECT event.data ->> 'mode' FROM event
                WHERE event.job_id = attempt.job_id AND event.kind = 'job.cancelled'
                ORDER BY event.number DESC LIMIT 1
            ), 'now') AS mode
            FROM attempt
            WHERE attempt.id = ANY(\(attempts)::uuid[]) AND attempt.outcome = 'cancelled'
            """
        )
        return try rows.map {
            CancelOrder(attempt: try $0.decode("id"), mode: try $0.decode("mode"))
        }
    }
}
