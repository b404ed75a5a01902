import FarmModel
import Postgres

extension FarmStore {
    /// How long what a worker holds is taken to last where nothing predicts it, in seconds.
    private static let unpredictedSeconds = 600.0

    /// What is left to compute of a lease, as SQL: the images that are not delivered yet, less the
    /// steps of the one that renders.
    static let restOfLease = """
        SELECT task.cost / task.image_count * greatest(0,
            least(count(*), CASE WHEN task.is_narrow THEN 1 ELSE task.image_count END)
            - coalesce(max(least(1, lease.step::double precision / greatest(lease.steps, 1)))
                FILTER (WHERE image.index = lease.image_index), 0)) AS cost
        FROM image
        WHERE image.job_id = task.job_id AND image.state = 'waiting'
            AND image.index BETWEEN task.first_index AND task.first_index + task.image_count - 1
        """

    /// Reads what decides which groups to make.
    func formation(on connection: PostgresConnection) async throws -> GroupFormation {
        let candidates = try await groupCandidates(on: connection)
        return GroupFormation(
            candidates: candidates,
            groups: try await groups(includingDissolved: false, on: connection),
            needs: candidates.isEmpty ? [] : try await groupNeeds(on: connection),
            patience: 2 * configuration.lease.inSeconds
        )
    }

    /// Reads the workers that join groups, without those in one where that is not said.
    func groupCandidates(
        includingSeated: Bool = false,
        on connection: PostgresConnection
    ) async throws -> [GroupCandidate] {
        try await connection.query(
            """
            SELECT worker.id, worker.name, worker.pool, worker.model_name, worker.model_digest,
                worker.precision, worker.tags, worker.memory_bytes, worker.sharded_bytes,
                worker.replicated_bytes, worker.working_bytes, worker.most_ranks,
                coalesce(worker.own_class, worker.numeric_class) AS numeric_class,
                worker.offered_group, worker.offered_size,
                CASE WHEN worker.renders_alone
                    THEN coalesce(worker.own_speed, worker.speed) ELSE 0 END AS speed_alone,
                coalesce((
                    SELECT sum(CASE WHEN worker.speed > 0 THEN rest.cost / worker.speed
                        ELSE \(Self.unpredictedSeconds) END)
                    FROM lease JOIN task ON task.id = lease.task_id CROSS JOIN LATERAL (
                        \(raw: Self.restOfLease)
                    ) AS rest
                    WHERE lease.worker_id = worker.id AND NOT \(raw: Self.isAhead)
                ), 0) AS end_seconds
            FROM worker
            WHERE joins_groups AND (\(includingSeated) OR group_id IS NULL)
                AND \(raw: Self.isAtWork) AND NOT \(raw: Self.isResting) AND NOT EXISTS (
                    SELECT FROM pool WHERE pool.name = worker.pool AND pool.is_paused
                )
            ORDER BY worker.name, worker.id
            """
        ).map { row in
            GroupCandidate(
                id: try row.decode("id"),
                name: try row.decode("name"),
                pool: try row.decode("pool"),
                modelName: try row.decode("model_name"),
                modelDigest: try row.decode("model_digest"),
                precision: try row.decode("precision"),
                numericClass: try row.decode("numeric_class"),
                tags: Set(try row.decode("tags", as: [String].self)),
                memory: try row.decode("memory_bytes"),
                modelMemory: try ModelMemory(row),
                offer: GroupOffer(
                    name: try row.decodeIfPresent("offered_group"),
                    size: try row.decodeIfPresent("offered_size")
                ),
                speedAlone: try row.decode("speed_alone"),
                endSeconds: try row.decode("end_seconds")
            )
        }
    }

    /// Whether a worker in no group renders the tasks of a head alone, as SQL; where a group's id is
    /// given, one of its members would, too.
    ///
    /// The tasks' class counts only where `inClass`: no group is made for one that nobody has any more.
    static func isRenderedAlone(without group: String = "NULL", inClass: Bool) -> String {
        """
        EXISTS (
            SELECT FROM worker
            WHERE worker.model_digest = head.model_digest AND worker.renders_alone
                AND \(isAtWork)
                AND (worker.group_id IS NULL OR worker.group_id = \(group))
                AND (head.pool IS NULL OR worker.pool = head.pool)
                AND (head.precision IS NULL OR worker.precision = head.precision)
                AND worker.tags @> head.tags
                AND worker.memory_bytes >= coalesce(head.memory_bytes, 0)
                AND (NOT \(inClass) OR head.numeric_class IS NULL
                    OR coalesce(worker.own_class, worker.numeric_class) = head.numeric_class)
        )
        """
    }

    /// What waits for a group: what asks for one, and what no worker could render alone; first what
    /// was not served for longer than the age bound.
    func groupNeeds(on connection: PostgresConnection) async throws -> [TaskDemand] {
        try await connection.query(
            """
            SELECT head.model_digest, head.precision, head.memory_bytes, head.pool, head.tags,
                head.group_size, head.numeric_class, head.awaits_class
            FROM head
            WHERE NOT is_empty AND blocked_by IS NULL AND NOT EXISTS (SELECT FROM farm WHERE is_paused)
                AND EXISTS (SELECT FROM ready WHERE ready.head_id = head.id)
                AND \(raw: Self.isUnbounded)
                AND (head.group_size > 1 OR NOT \(raw: Self.isRenderedAlone(inClass: false)))
            GROUP BY head.model_digest, head.precision, head.memory_bytes, head.pool, head.tags,
                head.group_size, head.numeric_class, head.awaits_class
            ORDER BY bool_or(\(raw: isStarving)) DESC, min(head.id)
            """
        ).map { row in
            TaskDemand(
                modelDigest: try row.decode("model_digest"),
                requirement: try TaskRequirement(row),
                numericClass: try row.decodeIfPresent("numeric_class"),
                awaitsClass: try row.decode("awaits_class")
            )
        }
    }
}

extension ModelMemory {
    /// Reads what a worker says of its model's memory; nil where it does not.
    init?(_ row: Row) throws {
        guard let sharded = try row.decodeIfPresent("sharded_bytes", as: Int64.self) else {
            return nil
        }
        self.init(
            sharded: sharded,
            replicated: try row.decode("replicated_bytes"),
            working: try row.decode("working_bytes"),
            mostRanks: try row.decodeIfPresent("most_ranks")
        )
    }
}
