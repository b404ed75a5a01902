import FarmModel
import FarmStore
import Migrations
import Postgres
import TestSupport
import Testing

@Suite("the schema's steps", .database)
struct MigratingTests {
    /// A farm of 0001 at work: a job with a task of each kind, and one that is paused.
    private static let firstRows = """
        INSERT INTO model (name, digest) VALUES ('flux', 'd');
        INSERT INTO worker (id, name, model_name, model_digest, precision, pool)
        VALUES ('00000000-0000-0000-0000-0000000000a1', 'w', 'flux', 'd', 'float32', 'night');
        INSERT INTO job (id, owner, name, specification, canonical_digest, model_name, model_digest,
            max_attempts, state, started_at)
        VALUES ('00000000-0000-0000-0000-0000000000b1', 'ann', 'j', '{"name": "j"}', 'c', 'flux',
                'd', 5, 'running', now()),
            ('00000000-0000-0000-0000-0000000000b2', 'bob', 'p', '{"name": "p"}', 'c', 'flux', 'd',
                5, 'paused', NULL);
        INSERT INTO task (id, job_id, number, priority, model_digest, max_attempts, state, epoch,
            attempts, attempt_id, worker_id, lease_deadline, ready_at, failures, failure_class,
            failure_message, finished_at)
        SELECT ('00000000-0000-0000-0000-0000000000c' || number)::uuid,
            '00000000-0000-0000-0000-0000000000b1', number, 50, 'd', 5, state, 1, 1,
            CASE WHEN state = 'leased' THEN '00000000-0000-0000-0000-0000000000d0'::uuid END,
            CASE WHEN state = 'leased' THEN '00000000-0000-0000-0000-0000000000a1'::uuid END,
            CASE WHEN state = 'leased' THEN now() END, ready_at, 0,
            CASE WHEN state = 'failed' THEN 'deterministic' END,
            CASE WHEN state = 'failed' THEN 'broken' END,
            CASE WHEN state IN ('failed', 'succeeded') THEN now() END
        FROM (VALUES (0, 'leased', now()), (1, 'ready', now()),
            (2, 'ready', now() + interval '1 hour'), (3, 'failed', now()), (4, 'succeeded', now()))
            AS made (number, state, ready_at);
        INSERT INTO task (id, job_id, number, priority, model_digest, max_attempts)
        VALUES ('00000000-0000-0000-0000-0000000000c9', '00000000-0000-0000-0000-0000000000b2', 0,
            50, 'd', 5);
        INSERT INTO attempt (id, task_id, worker_id, epoch, finished_at, outcome, failure_class,
            failure_message)
        SELECT ('00000000-0000-0000-0000-0000000000d' || number)::uuid, task.id,
            '00000000-0000-0000-0000-0000000000a1', 1,
            CASE WHEN state <> 'leased' THEN now() END,
            CASE state WHEN 'failed' THEN 'failed' WHEN 'succeeded' THEN 'succeeded' END,
            failure_class, failure_message
        FROM task WHERE state IN ('leased', 'failed', 'succeeded');
        INSERT INTO image (job_id, task_id, index, name, seed, parameters, state, output_digest,
            output_size, attempt_id, delivered_at, failure_class, failure_message)
        SELECT job_id, id, number * 2 + place, number || '-' || place || '.png', 1, '{}',
            CASE WHEN done THEN 'delivered' WHEN state = 'leased' THEN 'rendering'
                WHEN state = 'failed' THEN 'failed' ELSE 'waiting' END,
            CASE WHEN done THEN 'o' END, CASE WHEN done THEN 3 END,
            CASE WHEN done THEN '00000000-0000-0000-0000-0000000000d0'::uuid END,
            CASE WHEN done THEN now() END, failure_class, failure_message
        FROM task, generate_series(0, 1) AS place,
            LATERAL (SELECT state = 'succeeded' OR (state = 'leased' AND place = 0) AS done) AS mark;
        """

    /// A farm of 0003 at work: a chunk that is leased, one that was retried after it failed and then
    /// delivered the rest, one that waits so, and a job that was given up and then succeeded.
    private static let chunkRows = """
        INSERT INTO model (name, digest) VALUES ('flux', 'd');
        INSERT INTO worker (id, name, model_name, model_digest, precision)
        VALUES ('00000000-0000-0000-0000-0000000000a1', 'w', 'flux', 'd', 'float32');
        INSERT INTO account (owner) VALUES ('ann');
        INSERT INTO job (id, owner, name, specification, canonical_digest, model_name, model_digest,
            max_attempts, state, started_at, finished_at, image_count, delivered_count,
            failed_count, cancelled_count, task_count, live_task_count)
        VALUES ('00000000-0000-0000-0000-0000000000b1', 'ann', 'j', '{"model_digest": "d"}', 'c',
                'flux', 'd', 5, 'running', now(), NULL, 6, 2, 2, 0, 3, 2),
            ('00000000-0000-0000-0000-0000000000b2', 'ann', 'g', '{"model_digest": "d"}', 'c',
                'flux', 'd', 5, 'succeeded', now(), now(), 2, 1, 0, 1, 2, 0);
        INSERT INTO head (job_id, owner, priority, model_digest)
        SELECT id, owner, 50, 'd' FROM job ORDER BY id;
        INSERT INTO task (id, job_id, number, head_id, state, first_index, image_count, undelivered,
            finished_at)
        SELECT ('00000000-0000-0000-0000-0000000000c' || place)::uuid, job.id, number, head.id,
            task.state, number * images, images, undelivered,
            CASE WHEN task.state <> 'ready' THEN now() END
        FROM (VALUES (0, 1, 0, 'ready', 2, 1), (1, 1, 1, 'succeeded', 2, 0), (2, 1, 2, 'ready', 2, 1),
            (3, 2, 0, 'succeeded', 1, 0), (4, 2, 1, 'cancelled', 1, 1))
            AS task (place, job, number, state, images, undelivered)
        JOIN job ON job.id::text LIKE '%b' || task.job JOIN head ON head.job_id = job.id;
        INSERT INTO ready (head_id, number, task_id, job_id, epoch, first_index, image_count, cost,
            avoid)
        SELECT head_id, number, id, job_id, 0, first_index, image_count, 0, '{w}' FROM task
        WHERE id::text LIKE '%c2';
        INSERT INTO lease (task_id, attempt_id, epoch, job_id, head_id, owner, worker_id, deadline)
        SELECT id, '00000000-0000-0000-0000-0000000000d0', 1, job_id, head_id, 'ann',
            '00000000-0000-0000-0000-0000000000a1', now() FROM task WHERE id::text LIKE '%c0';
        INSERT INTO image (id, job_id, task_id, index, state, failure_class, failure_message)
        SELECT gen_random_uuid(), task.job_id, task.id, task.first_index + place, image.state,
            CASE WHEN image.state = 'failed' THEN 'transient' END,
            CASE WHEN image.state = 'failed' THEN 'broken' END
        FROM (VALUES (0, 0, 'delivered'), (0, 1, 'waiting'), (1, 0, 'failed'), (1, 1, 'delivered'),
            (2, 0, 'failed'), (2, 1, 'waiting'), (3, 0, 'delivered'), (4, 0, 'cancelled'))
            AS image (task, place, state)
        JOIN task ON task.id::text LIKE '%c' || image.task;
        """

    /// A database with all steps, or so many, where `rows` were written after the first ones.
    private func migrated(
        from rows: String?,
        after first: Int = 1,
        to last: Int = Migrations.all.count
    ) async throws -> (FarmStore, PostgresPool) {
        let pool = try TestDatabase.pool()
        let store = FarmStore(pool: pool)
        let steps = Array(Migrations.all.prefix(last))
        if let rows {
            _ = try await store.migrate(Array(steps.prefix(first)))
            try await pool.withConnection { try await $0.execute(script: rows) }
            #expect(try await store.migrate(steps) == steps.dropFirst(first).map(\.name))
        } else {
            #expect(try await store.migrate(steps) == steps.map(\.name))
        }
        return (store, pool)
    }

    @Test(
        "each step applies to an empty database and to one with rows, and once",
        arguments: [(nil, 0), (firstRows, 1), (chunkRows, 3)]
    )
    func twice(rows: String?, first: Int) async throws {
        let (store, _) = try await migrated(from: rows, after: first)
        #expect(try await store.migrate() == [])
    }

    @Test("a chunk with a failed image has failed, or will, after 0004")
    func chunks() async throws {
        let (_, pool) = try await migrated(from: Self.chunkRows, after: 3)
        let tasks = try await pool.query(
            "SELECT state, given_up, failure_message, is_narrow FROM task ORDER BY id"
        )
        #expect(
            try tasks.map { try $0.decode("state", as: String.self) }
                == ["ready", "failed", "ready", "succeeded", "cancelled"]
        )
        #expect(try tasks.map { try $0.decode("given_up", as: Int.self) } == [0, 0, 1, 0, 0])
        #expect(
            try tasks.map { try $0.decodeIfPresent("failure_message", as: String.self) }
                == [nil, "broken", "broken", nil, nil]
        )
        let jobs = try await pool.query("SELECT state FROM job ORDER BY id")
        #expect(
            try jobs.map { try $0.decode("state", as: String.self) } == ["running", "failed"]
        )
    }

    @Test("jobs of 0.1.0 that are not over are cancelled with what to do, by 0005")
    func firstJobs() async throws {
        let (store, pool) = try await migrated(from: Self.firstRows)
        for owner in ["ann", "bob"] {
            let job = try #require(try await store.jobs(owner: owner, limit: 9).first)
            #expect(job.state == .cancelled)
            #expect(job.reason?.contains("submit it again") == true)
            #expect((job.images.waiting, job.images.rendering, job.liveTaskCount) == (0, 0, 0))
            #expect(try await store.events(of: job.id, limit: 9).map(\.kind) == ["job.cancelled"])
        }
        for table in ["ready", "resting", "lease"] {
            let rows = try await pool.query("SELECT FROM \(raw: table)")
            #expect(rows.isEmpty)
        }
        #expect(try await store.auditTrail(limit: 9).count == 2)
    }

    @Test("side by side each step is applied once")
    func sideBySide() async throws {
        let store = FarmStore(pool: try TestDatabase.pool())
        let applied = try await withThrowingTaskGroup { group in
            for _ in 0..<4 { group.addTask { try await store.migrate() } }
            return try await group.reduce(into: [String]()) { $0 += $1 }
        }
        #expect(applied.sorted() == Migrations.all.map(\.name).sorted())
    }

    @Test("a coordinator waits for the steps of another for as long as they take")
    func waiting() async throws {
        var configuration = try TestDatabase.configuration()
        configuration.statementTimeout = .milliseconds(100)
        let hasty = PostgresPool(configuration)
        let slow = Migration(
            number: 1,
            name: "0001_slow",
            sql: "-- oldest-binary: 0.1.0\nSELECT pg_advisory_xact_lock(774411);"
        )
        let pool = try TestDatabase.pool()
        try await pool.withConnection { gate in
            try await gate.execute("SELECT pg_advisory_lock(774411)")
            async let first = FarmStore(pool: pool).migrate([slow])
            try await someWaits(for: "locktype = 'advisory' AND objid = 774411", gate)
            async let second = FarmStore(pool: hasty).migrate([slow])
            try await Task.sleep(for: .milliseconds(500))
            try await gate.execute("SELECT pg_advisory_unlock(774411)")
            #expect(try await second == [])
            #expect(try await first == ["0001_slow"])
        }
        await hasty.close()
    }

    /// Waits until some session waits for what the condition over `pg_locks` describes.
    private func someWaits(for condition: String, _ connection: PostgresConnection) async throws {
        var isWaiting = false
        while !isWaiting {
            let row = try await connection.query(
                """
                SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND \(raw: condition)) AS value
                """
            ).first
            isWaiting = try row?.decode("value") ?? false
        }
    }

    @Test("a step that conflicts with a farm at work is applied when it is tried again")
    func conflict() async throws {
        let pool = try TestDatabase.pool()
        try await pool.execute("CREATE TABLE held_first ()")
        try await pool.execute("CREATE TABLE held_second ()")
        let step = Migration(
            number: 1,
            name: "0001_locks",
            sql: """
                -- oldest-binary: 0.1.0
                LOCK TABLE held_first;
                SELECT pg_advisory_xact_lock(774412);
                LOCK TABLE held_second;
                """
        )
        try await pool.withConnection { gate in
            try await gate.execute("SELECT pg_advisory_lock(774412)")
            async let applied = FarmStore(pool: pool).migrate([step])
            try await someWaits(for: "locktype = 'advisory' AND objid = 774412", gate)
            async let work: Void = pool.withTransaction { connection in
                // So the step finds the deadlock, and is what the server ends.
                try await connection.execute("SET LOCAL deadlock_timeout = '1h'")
                try await connection.execute("LOCK TABLE held_second")
                try await connection.execute("LOCK TABLE held_first")
            }
            try await someWaits(for: "relation = 'held_first'::regclass", gate)
            try await gate.execute("SELECT pg_advisory_unlock(774412)")
            try await work
            #expect(try await applied == ["0001_locks"])
        }
    }

    @Test("what could be claimed, was leased or rested in 0001 is queued by 0002")
    func queueOfTheFirst() async throws {
        let (_, pool) = try await migrated(from: Self.firstRows, to: 3)
        let ready = try await pool.query(
            """
            SELECT ready.number, ready.epoch, ready.first_index, ready.image_count,
                head.blocked_by
            FROM ready JOIN head ON head.id = ready.head_id
            ORDER BY head.blocked_by NULLS FIRST, ready.number
            """
        )
        #expect(try ready.map { try $0.decode("number", as: Int.self) } == [0, 1, 0])
        #expect(try ready.map { try $0.decode("epoch", as: Int.self) } == [1, 1, 0])
        #expect(try ready.map { try $0.decode("first_index", as: Int.self) } == [0, 2, 0])
        #expect(try ready.map { try $0.decode("image_count", as: Int.self) } == [2, 2, 2])
        #expect(
            try ready.map { try $0.decodeIfPresent("blocked_by", as: String.self) }
                == [nil, nil, "job_paused"]
        )
        let resting = try await pool.query(
            "SELECT task.number FROM resting JOIN task ON task.id = resting.task_id"
        )
        #expect(try resting.map { try $0.decode("number", as: Int.self) } == [2])
    }

    @Test("counters and history of 0001 are kept by 0002")
    func historyOfTheFirst() async throws {
        let (_, pool) = try await migrated(from: Self.firstRows, to: 3)
        let job = try #require(
            try await pool.query(
                """
                SELECT image_count, delivered_count, failed_count, task_count, live_task_count,
                    (SELECT count(*) FROM output) AS outputs,
                    (SELECT string_agg(outcome, ' ' ORDER BY id) FROM attempt
                        WHERE worker_name = 'w' AND job_id = job.id) AS outcomes
                FROM job WHERE owner = 'ann'
                """
            ).first
        )
        #expect(try job.decode("image_count") == 10)
        #expect(try job.decode("delivered_count") == 3)
        #expect(try job.decode("failed_count") == 2)
        #expect(try job.decode("task_count") == 5)
        #expect(try job.decode("live_task_count") == 3)
        #expect(try job.decode("outputs") == 3)
        #expect(try job.decode("outcomes") == "released failed succeeded")
    }

    @Test(
        "a newer step is refused only by a binary that it excludes",
        arguments: [
            ("0.9.1", false), ("0.10.0", true), ("1.0.0", true), ("0.9.10", false),
        ]
    )
    func newerStep(binary: String, works: Bool) async throws {
        let (store, _) = try await migrated(from: nil)
        let newer =
            Migrations.all + [
                Migration(number: 90, name: "0090_later", sql: "-- oldest-binary: 0.10.0\n"),
                Migration(number: 91, name: "0091_latest", sql: "-- oldest-binary: 0.2.0\n"),
            ]
        #expect(try await store.migrate(newer) == ["0090_later", "0091_latest"])
        if works {
            #expect(try await store.migrate(as: binary) == [])
            return
        }
        let refusal = FarmStoreError.newerSchema(
            step: "0090_later",
            oldestBinary: "0.10.0",
            thisBinary: binary
        )
        await #expect(throws: refusal) { try await store.migrate(as: binary) }
        #expect(refusal.description.contains("0.10.0") && refusal.description.contains(binary))
    }
}
