package import FarmModel
package import FoundationEssentials
import Postgres

/// By what right a worker registers.
package enum WorkerAdmission: Sendable, Hashable {
    /// By a token that is shown itself.
    case token
    /// By a token that lets workers join.
    case join(WorkerJoin)
    /// By a key of its own.
    case own(WorkerID)

    /// How it joins; nil where it does not.
    var join: WorkerJoin? { if case .join(let join) = self { join } else { nil } }
}

/// A worker that joins: by which token, and what it will show.
package struct WorkerJoin: Sendable, Hashable {
    package var token: TokenID
    /// The hash of the key that the worker has chosen.
    package var key: BlobDigest
    /// How long the key is good.
    package var lifetime: Duration

    package init(token: TokenID, key: BlobDigest, lifetime: Duration) {
        self.token = token
        self.key = key
        self.lifetime = lifetime
    }
}

/// Why a worker may not register.
package enum WorkerRefusal: Error, Hashable, CustomStringConvertible {
    /// The token was revoked or is over.
    case tokenOver
    /// Another worker joined by the token, or this one has used the key that it joined with.
    case tokenSpent
    /// The token or key is of another pool.
    case pool(String, asked: String)
    /// The key is another worker's.
    case keyTaken
    /// The key was revoked or is over.
    case keyOver
    /// Another process of the same key lives.
    case placeTaken(String)

    package var description: String {
        switch self {
        case .tokenOver:
            "the token is over or revoked; make another: dreamfarm tokens create --role worker --join"
        case .tokenSpent:
            "a worker has joined by this one-time token; make another: "
                + "dreamfarm tokens create --role worker --join once"
        case .pool(let pool, let asked):
            "the worker may join the pool '\(pool)' alone, not '\(asked)'; start it with --pool "
                + "\(pool), or give it a token of the other pool"
        case .keyTaken: "the key is another worker's; remove the worker's credential and join again"
        case .keyOver: "the worker's key is over or revoked; give it a token to join by"
        case .placeTaken(let name):
            "another process works as '\(name)'; give this one a data folder and a token of its own"
        }
    }
}

extension FarmStore {
    /// A worker whose process has ended, as SQL.
    static let isSilent = "state = 'lost' OR instance = ''"

    /// A key of the worker that is good, as SQL.
    static let ownKey = """
        SELECT FROM worker_credential WHERE worker_id = worker.id AND expires_at > now()
        """

    /// Decides whether a worker may register, and as which it has to: nil where its name decides.
    ///
    /// A token that lets workers join stays locked, so that of two that come by a one-time token one
    /// waits for the other and is refused; who revokes it comes before both or behind them.
    func admit(
        _ registration: WorkerRegistration,
        on connection: PostgresConnection
    ) async throws -> (name: String, former: WorkerID?)? {
        switch registration.admission {
        case .token: nil
        case .join(let join): try await admit(join, registration.pool, on: connection)
        case .own(let id): try await admit(id, registration, on: connection)
        }
    }

    private func admit(
        _ join: WorkerJoin,
        _ pool: String,
        on connection: PostgresConnection
    ) async throws -> (name: String, former: WorkerID?)? {
        let token = try await connection.query(
            """
            SELECT joins, pool, spent_by FROM token
            WHERE id = \(join.token) AND joins IS NOT NULL AND revoked_at IS NULL
                AND (expires_at IS NULL OR expires_at > now()) FOR UPDATE
            """
        ).first
        guard let token else { throw WorkerRefusal.tokenOver }
        if let only = try token.decodeIfPresent("pool", as: String.self), only != pool {
            throw WorkerRefusal.pool(only, asked: pool)
        }
        let repeated = try await connection.query(
            """
            SELECT credential.token_id, credential.used_at IS NOT NULL AS is_used, worker.id,
                worker.name
            FROM worker_credential AS credential JOIN worker ON worker.id = credential.worker_id
            WHERE credential.hash = \(join.key.rawValue)
            """
        ).first
        let spender = try token.decodeIfPresent("spent_by", as: String.self)
        guard let repeated else {
            guard spender == nil else { throw WorkerRefusal.tokenSpent }
            return nil
        }
        // Who has not used the key may not have heard that it joined.
        guard try repeated.decode("token_id", as: TokenID.self) == join.token,
            try !repeated.decode("is_used", as: Bool.self)
        else { throw spender == nil ? WorkerRefusal.keyTaken : WorkerRefusal.tokenSpent }
        return (try repeated.decode("name"), try repeated.decode("id"))
    }

    private func admit(
        _ id: WorkerID,
        _ registration: WorkerRegistration,
        on connection: PostgresConnection
    ) async throws -> (name: String, former: WorkerID?)? {
        let row = try await connection.query(
            """
            SELECT worker.name, worker.instance, credential.pool,
                \(raw: Self.isSilent) OR last_seen_at <
                    now() - make_interval(secs => \(configuration.workerTimeout.inSeconds))
                    AS is_free
            FROM worker JOIN worker_credential AS credential ON credential.worker_id = worker.id
            WHERE worker.id = \(id) AND credential.expires_at > now()
            ORDER BY credential.made_at DESC LIMIT 1
            """
        ).first
        guard let row else { throw WorkerRefusal.keyOver }
        let pool = try row.decode("pool", as: String.self)
        guard pool == registration.pool else {
            throw WorkerRefusal.pool(pool, asked: registration.pool)
        }
        let name = try row.decode("name", as: String.self)
        let isSame = try row.decode("instance", as: String.self) == registration.instance
        // A copy of the data folder has the key too: two would take each other's place for ever.
        guard try isSame || row.decode("is_free", as: Bool.self) else {
            throw WorkerRefusal.placeTaken(name)
        }
        return (name, id)
    }

    /// Keeps the key of a worker that joins, and spends its token; of one that comes by another right
    /// than its key, keys that the worker had before are over.
    func keepCredential(
        of worker: WorkerID,
        _ registration: WorkerRegistration,
        on connection: PostgresConnection
    ) async throws {
        if case .own = registration.admission { return }
        let key = registration.admission.join?.key.rawValue ?? ""
        try await Self.lockCredentials(of: worker, on: connection)
        try await connection.execute(
            "DELETE FROM worker_credential WHERE worker_id = \(worker) AND hash <> \(key)"
        )
        guard let join = registration.admission.join else { return }
        try await connection.execute(
            """
            UPDATE token SET spent_by = \(key), spent_at = now()
            WHERE id = \(join.token) AND joins = 'once' AND spent_by IS NULL
            """
        )
        try await connection.execute(
            """
            INSERT INTO worker_credential (hash, worker_id, token_id, pool, expires_at)
            VALUES (\(key), \(worker), \(join.token), \(registration.pool),
                now() + make_interval(secs => \(join.lifetime.inSeconds)))
            ON CONFLICT (hash) DO UPDATE SET expires_at = excluded.expires_at
            """
        )
    }

    // MARK: - Keys

    /// Returns who shows a key; with its first use the others of its worker are over.
    func worker(showing hash: BlobDigest) async throws -> Bearer? {
        let row = try await pool.query(
            """
            SELECT credential.worker_id, credential.used_at IS NULL AS is_new, token.owner
            FROM worker_credential AS credential JOIN token ON token.id = credential.token_id
            WHERE credential.hash = \(hash.rawValue) AND credential.expires_at > now()
            """
        ).first
        guard let row else { return nil }
        let worker = try row.decode("worker_id", as: WorkerID.self)
        if try row.decode("is_new", as: Bool.self) {
            guard try await begin(hash, of: worker) else { return nil }
        }
        return Bearer(owner: try row.decode("owner"), role: .worker, binding: .worker(worker))
    }

    /// Notes the first use of a key; false where it is gone meanwhile.
    private func begin(_ hash: BlobDigest, of worker: WorkerID) async throws -> Bool {
        try await withRetriedTransaction { connection in
            try await Self.lockCredentials(of: worker, on: connection)
            let isThere = try await connection.execute(
                """
                UPDATE worker_credential SET used_at = coalesce(used_at, now())
                WHERE hash = \(hash.rawValue)
                """
            )
            guard isThere == 1 else { return false }
            try await connection.execute(
                """
                DELETE FROM worker_credential
                WHERE worker_id = \(worker) AND hash <> \(hash.rawValue)
                """
            )
            return true
        }
    }

    /// Keeps the next key of a worker; the one that it shows is good until the next is used.
    ///
    /// The same key again changes nothing: an answer may be lost. Another one takes the place of a next
    /// one that was not used.
    ///
    /// - Parameters:
    ///   - worker: The worker, which shows a key of its own.
    ///   - key: The hash of its next key.
    ///   - lifetime: How long that is good.
    ///   - actor: The owner of the token by which it joined, for the audit.
    /// - Returns: Whether it is kept; false where the worker's own key is over meanwhile, or the next
    ///   one is another worker's.
    /// - Throws: `DatabaseError`.
    package func renewCredential(
        of worker: WorkerID,
        next key: BlobDigest,
        lifetime: Duration,
        by actor: String
    ) async throws -> Bool {
        try await withRetriedTransaction { connection in
            // Tokens are locked before the keys that came by them, as where one is revoked.
            try await connection.execute(
                """
                SELECT FROM token WHERE id IN (
                    SELECT token_id FROM worker_credential WHERE worker_id = \(worker)
                ) ORDER BY id FOR KEY SHARE
                """
            )
            try await Self.lockCredentials(of: worker, on: connection)
            let made = try await connection.execute(
                """
                INSERT INTO worker_credential (hash, worker_id, token_id, pool, expires_at)
                SELECT \(key.rawValue), worker_id, token_id, pool,
                    now() + make_interval(secs => \(lifetime.inSeconds))
                FROM worker_credential
                WHERE worker_id = \(worker) AND used_at IS NOT NULL AND expires_at > now()
                    AND hash <> \(key.rawValue)
                ON CONFLICT (hash) DO UPDATE SET expires_at = excluded.expires_at
                WHERE worker_credential.worker_id = excluded.worker_id
                    AND worker_credential.used_at IS NULL
                """
            )
            guard made == 1 else { return false }
            try await connection.execute(
                """
                DELETE FROM worker_credential
                WHERE worker_id = \(worker) AND used_at IS NULL AND hash <> \(key.rawValue)
                """
            )
            try await Self.recordAudit(
                "worker.credential_renewed",
                worker.description,
                by: actor,
                on: connection
            )
            return true
        }
    }

    private static func lockCredentials(
        of worker: WorkerID,
        on connection: PostgresConnection
    ) async throws {
        try await connection.execute(
            """
            SELECT FROM worker_credential WHERE worker_id = \(worker) ORDER BY hash FOR UPDATE
            """
        )
    }

    /// Lets the keys that counted at a moment count for another day: those of a backup, whose workers have
    /// come to others since.
    package func extendCredentials(goodAt moment: Date) async throws {
        try await pool.execute(
            """
            UPDATE worker_credential
            SET expires_at = greatest(expires_at, now() + interval '1 day')
            WHERE used_at IS NOT NULL AND expires_at > \(moment)::timestamptz
            """
        )
    }

    // MARK: - Removing

    /// Removes a worker: its keys are over, what it holds is released, and its process, if it goes on,
    /// is not known any more.
    ///
    /// Its row stays as that of a worker that is lost, for the history of its attempts.
    ///
    /// - Parameters:
    ///   - id: The worker.
    ///   - actor: Who does it, for the audit.
    /// - Returns: Whether there is such a worker.
    /// - Throws: `DatabaseError`.
    package func removeWorker(_ id: WorkerID, by actor: String) async throws -> Bool {
        try await withRetriedTransaction {
            try await remove(id, because: [:], by: actor, on: $0)
        }
    }

    func remove(
        _ id: WorkerID,
        because detail: [String: String],
        by actor: String,
        on connection: PostgresConnection
    ) async throws -> Bool {
        try await endEpoch(ofWorker: id, because: "was removed", on: connection)
        try await endLeases(ofWorker: id, .released, on: connection)
        let name = try await connection.query(
            """
            UPDATE worker SET epoch = epoch + 1, instance = '', state = 'lost',
                state_reason = CASE WHEN desired_state = 'quarantine' THEN state_reason
                    ELSE 'removed' END
            WHERE id = \(id) RETURNING name
            """
        ).first?.decode("name", as: String.self)
        guard let name else { return false }
        // A renewal that is under way ends first, so that its key is among those that go.
        try await Self.lockCredentials(of: id, on: connection)
        try await connection.execute("DELETE FROM worker_credential WHERE worker_id = \(id)")
        var detail = detail
        detail["id"] = id.description
        try await Self.recordAudit("worker.removed", name, by: actor, detail, on: connection)
        log(
            "Worker removed",
            ["worker": "\(id)", "worker_name": name, "by": actor],
            on: connection
        )
        return true
    }

    // MARK: - Attempts

    /// Returns the worker whose attempt this is or was; nil where nothing is known of it any more.
    package func worker(of fence: AttemptFence) async throws -> WorkerID? {
        try await pool.query(
            """
            SELECT worker_id FROM lease
            WHERE task_id = \(fence.task) AND attempt_id = \(fence.attempt)
            UNION ALL
            SELECT worker_id FROM attempt WHERE id = \(fence.attempt)
            LIMIT 1
            """
        ).first?.decode("worker_id")
    }

    /// Whether a blob is a file of a registered model.
    package func isModelFile(_ digest: BlobDigest) async throws -> Bool {
        try await pool.query(
            "SELECT FROM model_file WHERE digest = \(digest.rawValue) LIMIT 1"
        ).first != nil
    }
}
