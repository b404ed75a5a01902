import FarmModel
import Postgres

extension FarmStore {
    /// Carries the audits of pictures on: the audits duty, to be run every few seconds.
    ///
    /// Copies that are made are compared, others put into the queue, and what takes too long is given up.
    package func runPictureAudits() async throws -> PictureAuditReport {
        var report = PictureAuditReport()
        try await noteCopies()
        for audit in try await comparableAudits() { try await compare(audit, &report) }
        try await dropAudits(&report)
        for (audit, state) in try await overdueAudits() {
            try await giveUp(audit, in: state, &report)
        }
        for audit in try await startableAudits() where try await makeCopy(of: audit) {
            report.begun += 1
        }
        try await removeCopies()
        return report
    }

    // MARK: - Comparing

    /// Writes down what the copies are that were delivered, and by whom.
    private func noteCopies() async throws {
        try await pool.execute(
            """
            UPDATE picture_copy SET digest = output.digest, worker_id = attempt.worker_id,
                worker_name = attempt.worker_name, is_shared = (
                    SELECT count(DISTINCT tried.worker_id) > 1 FROM attempt AS tried
                    WHERE tried.task_id = attempt.task_id
                )
            FROM image JOIN output ON output.image_id = image.id
            JOIN attempt ON attempt.id = output.attempt_id
            WHERE image.job_id = picture_copy.job_id AND picture_copy.digest IS NULL
                AND picture_copy.dropped_at IS NULL
            """
        )
    }

    /// The audits whose latest copy is made.
    private func comparableAudits() async throws -> [PictureAuditRecord] {
        try await pool.withConnection { connection in
            let rows = try await connection.query(
                """
                \(raw: Self.selectAudit)
                JOIN picture_copy ON picture_copy.audit_id = picture_audit.id
                    AND picture_copy.number
                        = CASE picture_audit.state WHEN 'rendering' THEN 1 ELSE 2 END
                WHERE picture_audit.state IN ('rendering', 'disputed')
                    AND picture_copy.digest IS NOT NULL
                ORDER BY picture_audit.id
                """
            )
            return try await Self.audits(rows, on: connection)
        }
    }

    private func compare(
        _ audit: PictureAuditRecord,
        _ report: inout PictureAuditReport
    ) async throws {
        let renderings = audit.renderings
        let verdict = PictureVerdict(renderings)
        guard let state = audit.state.state(after: verdict.event) else { return }
        let (liar, suspects) = verdict.accused(among: renderings)
        // Before the verdict, so that a coordinator that dies between the two accuses again.
        if let liar, try await quarantine(liar, for: audit) {
            report.quarantined.append(liar.worker)
        }
        let isMoved = try await withRetriedTransaction { connection in
            guard
                try await Self.move(audit.id, from: audit.state, to: state, on: connection)
            else { return false }
            try await connection.execute(
                """
                UPDATE picture_audit SET liar_id = \(liar?.worker), liar = \(liar?.name),
                    suspects = \(suspects.map(\.name))::text[] WHERE id = \(audit.id)
                """
            )
            if verdict == .different(wrong: 0) {
                try await doubtPicture(of: audit, renderings, on: connection)
            }
            if let liar { try await forgetArtifacts(of: liar, on: connection) }
            if liar != nil || !suspects.isEmpty {
                try await recordFinding(audit, state, liar, suspects, on: connection)
            }
            return true
        }
        if isMoved { note(state, in: &report) }
    }

    /// Moves an audit on; false where it is not in the state any more.
    static func move(
        _ audit: Int64,
        from state: PictureAuditState,
        to next: PictureAuditState,
        on connection: PostgresConnection
    ) async throws -> Bool {
        try await connection.execute(
            """
            UPDATE picture_audit SET state = \(next),
                disputed_at = CASE WHEN \(next == .disputed) THEN now() ELSE disputed_at END,
                decided_at = CASE WHEN \(next.isFinal) THEN now() END
            WHERE id = \(audit) AND state = \(state)
            """
        ) == 1
    }

    private func note(
        _ state: PictureAuditState,
        of audits: Int = 1,
        in report: inout PictureAuditReport
    ) {
        report.reached[state, default: 0] += audits
        if state.isFinal { counts.note(audits: audits, state) }
    }

    // MARK: - Findings

    /// Quarantines a worker that two others contradict; false where it was already, or is gone.
    private func quarantine(
        _ liar: AuditedRendering,
        for audit: PictureAuditRecord
    ) async throws -> Bool {
        let known = try await worker(liar.worker)
        guard let known, known.desiredState != .quarantine else { return false }
        let others = audit.renderings.first { $0.digest != liar.digest }?.digest ?? ""
        let reason = """
            image \(audit.index) of job \(audit.job) differs: it made \(liar.digest), two others of \
            its class made \(others); see dreamfarm audits show \(audit.id)
            """
        return try await setWorker(liar.worker, .quarantine, reason: reason, by: "farm") != nil
    }

    /// Marks a delivered picture that two other workers contradict, and tells its job; what was
    /// delivered stays.
    private func doubtPicture(
        of audit: PictureAuditRecord,
        _ renderings: [AuditedRendering],
        on connection: PostgresConnection
    ) async throws {
        let doubt = """
            two other workers of its class made \(renderings[1].digest): render it again by submitting \
            it anew
            """
        try await connection.execute(
            "UPDATE output SET doubt = \(doubt) WHERE image_id = \(audit.image)"
        )
        var data = EventData()
        data.image = audit.image
        data.index = audit.index
        data.digest = audit.original.digest
        data.reason = doubt
        try await Self.recordEvent(.imageDoubted, of: audit.job, data, on: connection)
    }

    /// Forgets the computed conditions that a liar shared, and those of which nobody knows who did.
    private func forgetArtifacts(
        of liar: AuditedRendering,
        on connection: PostgresConnection
    ) async throws {
        try await connection.execute(
            """
            DELETE FROM artifact WHERE worker_name = \(liar.name) OR worker_name IS NULL
            """
        )
    }

    private func recordFinding(
        _ audit: PictureAuditRecord,
        _ state: PictureAuditState,
        _ liar: AuditedRendering?,
        _ suspects: [AuditedRendering],
        on connection: PostgresConnection
    ) async throws {
        var detail = [
            "audit": String(audit.id), "job": audit.job.description, "index": String(audit.index),
            "renderings": audit.renderings.map { "\($0.name): \($0.digest)" }
                .joined(separator: ", "),
        ]
        detail["liar"] = liar?.name
        if !suspects.isEmpty {
            detail["suspects"] = suspects.map(\.name).joined(separator: ", ")
        }
        try await Self.recordAudit(
            "picture.\(state.rawValue)",
            audit.image.description,
            by: "farm",
            detail,
            on: connection
        )
    }

    // MARK: - Giving up

    /// Ends the audits of pictures whose job is gone.
    private func dropAudits(_ report: inout PictureAuditReport) async throws {
        let dropped = try await pool.execute(
            """
            UPDATE picture_audit SET state = \(PictureAuditState.moot), decided_at = now()
            WHERE decided_at IS NULL
                AND NOT EXISTS (SELECT FROM job WHERE job.id = picture_audit.job_id)
            """
        )
        if dropped > 0 { note(.moot, of: dropped, in: &report) }
    }

    /// The audits whose time is over and on whose copies nobody works, and those with a copy that
    /// failed, with their states.
    private func overdueAudits() async throws -> [(Int64, PictureAuditState)] {
        try await pool.query(
            """
            SELECT picture_audit.id, picture_audit.state
            FROM picture_audit LEFT JOIN LATERAL (
                SELECT picture_copy.job_id, job.state FROM picture_copy
                LEFT JOIN job ON job.id = picture_copy.job_id
                WHERE picture_copy.audit_id = picture_audit.id AND picture_copy.digest IS NULL
            ) AS copy ON true
            WHERE picture_audit.decided_at IS NULL AND CASE
                WHEN copy.job_id IS NOT NULL
                    AND coalesce(copy.state, 'failed') IN ('failed', 'cancelled') THEN true
                WHEN copy.state = 'succeeded' OR EXISTS (
                    SELECT FROM lease WHERE lease.job_id = copy.job_id
                ) THEN false
                WHEN picture_audit.state = 'disputed' THEN picture_audit.disputed_at
                    < now() - make_interval(secs => \(configuration.disputePatience.inSeconds))
                ELSE picture_audit.drawn_at
                    < now() - make_interval(secs => \(configuration.auditPatience.inSeconds)) END
            ORDER BY picture_audit.id
            """
        ).map { (try $0.decode("id"), try $0.decode("state")) }
    }

    /// Ends an audit without the copy that it waits for: of two workers that differ either is suspect.
    private func giveUp(
        _ id: Int64,
        in state: PictureAuditState,
        _ report: inout PictureAuditReport
    ) async throws {
        guard let next = state.state(after: .giveUp),
            let audit = try await pictureAudit(id)
        else { return }
        let suspects = next == .undecided ? audit.renderings : []
        let isMoved = try await withRetriedTransaction { connection in
            guard try await Self.move(id, from: state, to: next, on: connection) else {
                return false
            }
            guard !suspects.isEmpty else { return true }
            try await connection.execute(
                """
                UPDATE picture_audit SET suspects = \(suspects.map(\.name))::text[]
                WHERE id = \(id)
                """
            )
            try await recordFinding(audit, next, nil, suspects, on: connection)
            return true
        }
        if isMoved { note(next, in: &report) }
    }
}
