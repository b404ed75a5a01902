import FarmModel
import Postgres

extension FarmStore {
    /// Records a worker, and its model when the farm does not know the digest yet.
    ///
    /// A worker is known by its name. The same instance started again, or another one where the
    /// old one is silent or has left, takes over the name with the next epoch, and what the old
    /// process held lapses at once; beside a living one the newcomer gets `name-2` and so on.
    /// Being quarantined stays with the name. A model's name that already means another digest
    /// gets the digest's first eight characters behind it.
    ///
    /// A worker that shows a key of its own is the worker of that key and no other. One that joins
    /// gets none of those that have one.
    ///
    /// - Parameter registration: What the worker says of itself, and by what right it comes.
    /// - Returns: Who it is.
    /// - Throws: ``WorkerRefusal`` where its key or token does not let it in, else `DatabaseError`.
    package func registerWorker(
        _ registration: WorkerRegistration
    ) async throws -> RegisteredWorker {
        try await withRetriedTransaction { connection in
            try await connection.execute(
                """
                SELECT pg_advisory_xact_lock(
                    \(AdvisoryLock.registration),
                    hashtext(current_schema() || \(Self.baseName(registration.name))))
                """
            )
            let known = try await admit(registration, on: connection)
            let model = try await recordModel(of: registration, on: connection)
            let (name, former) =
                if let known { known } else { try await place(registration, on: connection) }
            if let actor = registration.actor {
                var detail = ["model": model, "precision": registration.precision]
                detail["token"] = registration.admission.join?.token.description
                try await Self.recordAudit(
                    registration.admission.join == nil ? "worker.registered" : "worker.joined",
                    name,
                    by: actor,
                    detail,
                    on: connection
                )
            }
            let worker = try await enter(registration, name, former, model, on: connection)
            try await keepCredential(of: worker.id, registration, on: connection)
            log(
                registration.admission.join == nil ? "Worker registered" : "Worker joined",
                [
                    "worker": "\(worker.id)", "worker_name": name, "pool": registration.pool,
                    "model": model, "precision": registration.precision,
                    "epoch": "\(worker.epoch)",
                ],
                on: connection
            )
            return worker
        }
    }

    /// Gives the worker a row of its own, or the one that it takes over.
    private func enter(
        _ registration: WorkerRegistration,
        _ name: String,
        _ former: WorkerID?,
        _ model: String,
        on connection: PostgresConnection
    ) async throws -> RegisteredWorker {
        guard let former else {
            let id = try await insertWorker(registration, name, model, on: connection)
            return RegisteredWorker(id: id, name: name, epoch: 1, modelName: model)
        }
        try await endEpoch(ofWorker: former, because: "was started again", on: connection)
        let lapsed = try await endLeases(ofWorker: former, .replaced, on: connection)
        var worker = try await takeOver(former, registration, model, on: connection)
        worker.lapsedLeases = lapsed
        return worker
    }

    /// The name that the worker gets, and the row of that name that it takes over.
    private func place(
        _ registration: WorkerRegistration,
        on connection: PostgresConnection
    ) async throws -> (name: String, former: WorkerID?) {
        let rows = try await connection.query(
            """
            SELECT id, name, instance = \(registration.instance) AS is_same,
                (\(raw: Self.isSilent) OR last_seen_at <
                    now() - make_interval(secs => \(configuration.workerTimeout.inSeconds)))
                AND NOT EXISTS (\(raw: Self.ownKey)) AS is_free
            FROM worker
            WHERE name = \(registration.name) OR starts_with(name, \(registration.name) || '-')
            ORDER BY registered_at DESC
            """
        )
        var free: [String: WorkerID] = [:]
        var taken: Set<String> = []
        for row in rows {
            let name = try row.decode("name", as: String.self)
            let id = try row.decode("id", as: WorkerID.self)
            guard name == registration.name || Self.isNumbered(name, registration.name) else {
                continue
            }
            if try row.decode("is_same", as: Bool.self) { return (name, id) }
            if try row.decode("is_free", as: Bool.self) {
                free[name] = free[name] ?? id
            } else {
                taken.insert(name)
            }
        }
        var name = registration.name
        var number = 1
        while taken.contains(name) {
            number += 1
            name = "\(registration.name)-\(number)"
        }
        return (name, free[name])
    }

    /// A name without the number behind it: names that may become equal share a lock.
    private static func baseName(_ name: String) -> String {
        guard let dash = name.lastIndex(of: "-"), dash != name.startIndex,
            Int(name[name.index(after: dash)...]) != nil
        else { return name }
        return String(name[..<dash])
    }

    /// Whether a name is another with a number behind it, as it is given to a second worker.
    private static func isNumbered(_ name: String, _ base: String) -> Bool {
        guard let number = Int(name.dropFirst(base.count + 1)) else { return false }
        return number > 1 && name == "\(base)-\(number)"
    }

    private func insertWorker(
        _ worker: WorkerRegistration,
        _ name: String,
        _ model: String,
        on connection: PostgresConnection
    ) async throws -> WorkerID {
        let row = try await connection.query(
            """
            INSERT INTO worker (name, instance, pool, model_name, model_digest, precision,
                numeric_class, memory_bytes, speed, engine, tags, info, joins_groups,
                offered_group, offered_size, renders_alone, sharded_bytes, replicated_bytes,
                working_bytes, most_ranks, parks)
            VALUES (\(name), \(worker.instance), \(worker.pool), \(model), \(worker.modelDigest),
                \(worker.precision), \(worker.numericClass), \(worker.memory),
                \(max(worker.speed, 0)), \(worker.engine), \(worker.tags)::text[],
                \(worker.info)::jsonb, \(worker.group != nil), \(worker.group?.name),
                \(worker.group?.size), \(worker.rendersAlone), \(worker.modelMemory?.sharded),
                \(worker.modelMemory?.replicated), \(worker.modelMemory?.working),
                \(worker.modelMemory?.mostRanks), \(worker.parks))
            RETURNING id
            """
        ).first
        guard let row else { throw FarmStoreError.vanished("the worker that was just made") }
        return try row.decode("id")
    }

    /// Gives a row to another process, or to the same instance again.
    ///
    /// A speed that was measured is kept where the model and precision are the same.
    private func takeOver(
        _ id: WorkerID,
        _ worker: WorkerRegistration,
        _ model: String,
        on connection: PostgresConnection
    ) async throws -> RegisteredWorker {
        let row = try await connection.query(
            """
            UPDATE worker SET epoch = epoch + 1, instance = \(worker.instance),
                state = CASE WHEN desired_state = 'quarantine' THEN 'quarantined'
                    ELSE 'starting' END,
                state_reason = CASE WHEN desired_state = 'quarantine' THEN state_reason END,
                desired_state = CASE WHEN desired_state = 'quarantine' THEN 'quarantine'
                    ELSE 'run' END,
                pool = \(worker.pool), model_name = \(model),
                speed = CASE WHEN \(worker.speed)::double precision > 0
                    THEN \(worker.speed)::double precision
                    WHEN model_digest = \(worker.modelDigest) AND precision = \(worker.precision)
                    THEN speed ELSE 0 END,
                model_digest = \(worker.modelDigest), precision = \(worker.precision),
                numeric_class = \(worker.numericClass), memory_bytes = \(worker.memory),
                engine = \(worker.engine), tags = \(worker.tags)::text[],
                info = \(worker.info)::jsonb, joins_groups = \(worker.group != nil),
                offered_group = \(worker.group?.name), offered_size = \(worker.group?.size),
                renders_alone = \(worker.rendersAlone),
                sharded_bytes = \(worker.modelMemory?.sharded),
                replicated_bytes = \(worker.modelMemory?.replicated),
                working_bytes = \(worker.modelMemory?.working),
                most_ranks = \(worker.modelMemory?.mostRanks), parks = \(worker.parks),
                registered_at = now(), last_seen_at = now()
            WHERE id = \(id) RETURNING name, epoch, desired_state
            """
        ).first
        guard let row else { throw FarmStoreError.vanished("the worker that was just found") }
        return RegisteredWorker(
            id: id,
            name: try row.decode("name"),
            epoch: try row.decode("epoch"),
            modelName: model,
            desiredState: try row.decode("desired_state")
        )
    }

    private func recordModel(
        of worker: WorkerRegistration,
        on connection: PostgresConnection
    ) async throws -> String {
        let digest = worker.modelDigest
        let lacksConstants =
            "NOT cost_constants ?& ARRAY(SELECT jsonb_object_keys(told.constants))"
        for name in [worker.modelName, "\(worker.modelName)-\(digest.prefix(8))"] {
            try await connection.execute(
                """
                INSERT INTO model (name, digest, defaults, cost_constants)
                VALUES (\(name), \(digest), \(worker.modelDefaults)::jsonb,
                    \(worker.costConstants)::jsonb)
                ON CONFLICT DO NOTHING
                """
            )
            // What a model that was added by hand or by an older worker lacks; most registrations
            // change nothing.
            try await connection.execute(
                """
                UPDATE model SET removed_at = NULL,
                    defaults = CASE WHEN defaults = '{}' THEN \(worker.modelDefaults)::jsonb
                        ELSE defaults END,
                    cost_constants = CASE WHEN \(raw: lacksConstants)
                        THEN told.constants ELSE cost_constants END
                FROM (SELECT \(worker.costConstants)::jsonb AS constants) AS told
                WHERE digest = \(digest) AND (removed_at IS NOT NULL
                    OR (defaults = '{}' AND \(worker.modelDefaults)::jsonb <> '{}')
                    OR \(raw: lacksConstants))
                """
            )
            let rows = try await connection.query(
                "SELECT name FROM model WHERE digest = \(digest)"
            )
            if let row = rows.first { return try row.decode("name") }
        }
        throw FarmStoreError.vanished("the model \(worker.modelName) that was just recorded")
    }
}
