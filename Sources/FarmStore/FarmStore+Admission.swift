import FarmModel
import Postgres

/// How much of a head a claim may take.
struct ClaimRoom: Sendable {
    /// How many tasks, at least one.
    var tasks: Int
    /// How many images each of them may have; nil for any number.
    var images: Int?
}

extension FarmStore {
    /// Locks what bounds a head, and tells how much of it a worker may claim; nil for nothing.
    ///
    /// The locks last until the leases are written, so that no two claims, of whatever coordinators,
    /// count the same room: the head, its owner's account, its named limits in the order of their
    /// names. Whatever ends a lease takes none of them: it makes room only.
    func admit(
        _ worker: WorkerCapability,
        to choice: Placement.Choice,
        on connection: PostgresConnection
    ) async throws -> ClaimRoom? {
        guard choice.head.isSpecial else { return ClaimRoom(tasks: choice.count) }
        guard let room = try await room(for: worker, in: choice, on: connection) else {
            desk.forget([choice.head.id])
            return nil
        }
        return room
    }

    private func room(
        for worker: WorkerCapability,
        in choice: Placement.Choice,
        on connection: PostgresConnection
    ) async throws -> ClaimRoom? {
        let head = choice.head
        if head.isForSome, try await !admit(worker, to: head, on: connection) { return nil }
        var room = ClaimRoom(tasks: choice.count)
        if head.countsImages {
            guard let left = try await imageRoom(in: choice, on: connection) else { return nil }
            room = left
        }
        if !head.requirement.limits.isEmpty {
            let places = try await places(of: head.requirement.limits, on: connection)
            guard places > 0 else { return nil }
            room.tasks = min(room.tasks, places)
        }
        return room
    }

    /// Locks a head and tells whether a worker may claim from it; fixes its class where that is
    /// still open.
    private func admit(
        _ worker: WorkerCapability,
        to head: HeadView,
        on connection: PostgresConnection
    ) async throws -> Bool {
        let row = try await connection.query(
            """
            SELECT awaits_class, numeric_class, max_workers FROM head WHERE id = \(head.id)
            FOR NO KEY UPDATE
            """
        ).first
        guard let row else { return false }
        if let numericClass = try row.decodeIfPresent("numeric_class", as: String.self),
            numericClass != worker.numericClass
        {
            return false
        }
        if let most = try row.decodeIfPresent("max_workers", as: Int.self) {
            let others = try await connection.query(
                """
                SELECT count(DISTINCT worker_id) AS n FROM lease
                WHERE job_id = \(head.job) AND worker_id <> \(worker.id)
                """
            ).first?.decode("n", as: Int.self)
            guard (others ?? 0) < most else { return false }
        }
        if try row.decode("awaits_class") {
            try await connection.execute(
                """
                UPDATE head SET awaits_class = false, numeric_class = \(worker.numericClass)
                WHERE job_id = \(head.job)
                """
            )
            try await connection.execute(
                "UPDATE job SET numeric_class = \(worker.numericClass) WHERE id = \(head.job)"
            )
            desk.expire()
        }
        return true
    }

    /// Locks an owner's account and tells how much of a head its quota of images leaves; nil for
    /// nothing.
    ///
    /// Tasks of more images than the quota has are made narrow: they are rendered image by image.
    private func imageRoom(
        in choice: Placement.Choice,
        on connection: PostgresConnection
    ) async throws -> ClaimRoom? {
        let head = choice.head
        let most = try await connection.query(
            "SELECT max_images FROM account WHERE owner = \(head.owner) FOR NO KEY UPDATE"
        ).first?.decodeIfPresent("max_images", as: Int.self)
        guard let most else { return ClaimRoom(tasks: choice.count) }
        let used = try await connection.query(
            """
            SELECT coalesce(sum(image_count), 0) AS n FROM lease WHERE owner = \(head.owner)
            """
        ).first?.decode("n", as: Int.self)
        let left = most - (used ?? 0)
        guard left > 0 else { return nil }
        guard head.taskImages <= most else {
            let tasks = min(choice.count, left)
            try await narrow(head, tasks: tasks, widerThan: most, on: connection)
            return ClaimRoom(tasks: tasks, images: 1)
        }
        guard left >= head.taskImages else { return nil }
        let tasks = min(choice.count, left / max(1, head.taskImages))
        return ClaimRoom(tasks: tasks, images: left / tasks)
    }

    /// Makes the first tasks of a head narrow that have too many images.
    ///
    /// Their rows are written anew, never updated: a claim that began before could lock the new version
    /// and not see it to delete it.
    private func narrow(
        _ head: HeadView,
        tasks: Int,
        widerThan most: Int,
        on connection: PostgresConnection
    ) async throws {
        try await connection.execute(
            """
            WITH wide AS MATERIALIZED (
                SELECT number, task_id FROM ready
                WHERE head_id = \(head.id) AND number >= \(head.first) AND image_count > \(most)
                    AND NOT is_narrow
                ORDER BY number LIMIT \(tasks) FOR UPDATE SKIP LOCKED
            ), told AS (
                UPDATE task SET is_narrow = true FROM wide WHERE task.id = wide.task_id
            ), gone AS (
                DELETE FROM ready USING wide
                WHERE ready.head_id = \(head.id) AND ready.number = wide.number
                RETURNING ready.*
            )
            INSERT INTO ready (head_id, number, task_id, job_id, epoch, first_index, image_count,
                cost, is_narrow, promised, avoid)
            SELECT head_id, number, task_id, job_id, epoch, first_index, image_count, cost, true,
                promised, avoid
            FROM gone
            """
        )
    }

    /// Locks named limits and tells how many tasks may have a place of each; none where one of them
    /// is not known.
    private func places(
        of names: [String],
        on connection: PostgresConnection
    ) async throws -> Int {
        let counts = try await connection.query(
            """
            SELECT name, count FROM named_limit WHERE name = ANY(\(names)::text[])
            ORDER BY name FOR NO KEY UPDATE
            """
        )
        guard counts.count == names.count else { return 0 }
        var least = Int.max
        for row in counts {
            let used = try await connection.query(
                """
                SELECT count(*) AS n FROM lease JOIN head ON head.id = lease.head_id
                WHERE \(try row.decode("name", as: String.self)) = ANY(head.limits)
                """
            ).first?.decode("n", as: Int.self)
            least = min(least, try row.decode("count", as: Int.self) - (used ?? 0))
        }
        return max(0, least)
    }
}
