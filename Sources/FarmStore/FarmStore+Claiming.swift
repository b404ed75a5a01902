package import FarmModel
import FoundationEssentials
import Postgres

extension FarmStore {
    /// Leases at most `limit` tasks that the worker can run, as ``Placement`` orders them.
    ///
    /// Calls that come together share a statement. Its cost does not depend on how many tasks wait:
    /// it looks into at most 64 heads, in each at the first tasks, and skips what another claim has
    /// locked. Among jobs that an owner has put side by side, `warm` ones go first.
    package func claimTasks(
        worker: WorkerID,
        limit: Int,
        warm: Set<JobID> = []
    ) async throws -> ClaimOutcome {
        precondition(limit > 0, "A claim asks for a task")
        let claim = TaskClaim(worker: worker, limit: limit, warm: warm)
        return try await claims.answer(to: claim) { try await answer($0) }
    }

    /// Answers claims: from what is known of the queue, and where that gave nothing, from what is
    /// then read of it.
    private func answer(_ claims: [TaskClaim]) async throws -> [ClaimOutcome] {
        var answers = [ClaimOutcome?](repeating: nil, count: claims.count)
        for isLastTry in [false, true] {
            let known = desk.freshView
            let view: QueueView
            if let known {
                view = known
            } else {
                view = try await readQueue()
                desk.take(view)
            }
            let open = claims.indices.filter { answers[$0] == nil }
            let groups = Self.groups(of: open.map { (claims[$0], $0) }, in: view)
            for (place, answer) in try await claim(groups, in: view) { answers[place] = answer }
            guard answers.contains(where: { $0 == nil }) else { break }
            if isLastTry || known == nil { break }
            desk.expire()
        }
        let view = desk.freshView ?? QueueView()
        return zip(claims, answers).map { claim, answer in
            answer ?? refusal(of: claim, in: view)
        }
    }

    /// Claims of workers that can run the same, which one statement can serve.
    private struct Group: Sendable {
        var worker: WorkerCapability
        var warm: Set<JobID>
        var members: [(claim: TaskClaim, place: Int)]

        /// How many tasks its members ask for together.
        var wanted: Int { members.reduce(0) { $0 + $1.claim.limit } }
    }

    /// What makes claims equal.
    private struct Key: Hashable {
        var worker: WorkerCapability
        var warm: Set<JobID>
    }

    private static func groups(
        of claims: [(claim: TaskClaim, place: Int)],
        in view: QueueView
    ) -> [Group] {
        var groups: [Group] = []
        var places: [Key: Int] = [:]
        // What is warm counts only where it decides, so that else workers stay equal.
        let rivals = claims.allSatisfy(\.claim.warm.isEmpty) ? [] : Placement.rivals(in: view)
        let special = view.heads.contains(where: \.isSpecial)
        let blocked = Set(view.blocks.map(\.worker))
        for member in claims {
            guard let worker = view.workers[member.claim.worker], worker.refusal == nil else {
                // The statement knows best who a worker is that was not here when it was read.
                continue
            }
            let warm = member.claim.warm.intersection(rivals)
            var key = Key(worker: worker, warm: warm)
            // Where limits count workers, each is looked at for itself.
            if !special, !blocked.contains(worker.name) {
                key.worker.id = WorkerID(rawValue: Self.anyone)
                key.worker.name = ""
            }
            if let place = places[key] {
                groups[place].members.append(member)
            } else {
                places[key] = groups.count
                groups.append(Group(worker: worker, warm: warm, members: [member]))
            }
        }
        return groups
    }

    private static let anyone = UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))

    /// Claims for all groups side by side, so that their transactions end together; an owner whose
    /// tasks one group is to get is charged before the next one's are chosen.
    private func claim(
        _ groups: [Group],
        in view: QueueView
    ) async throws -> [(place: Int, answer: ClaimOutcome)] {
        let choices = Placement(view: view, ageBound: configuration.ageBound)
            .choices(for: groups.map { ($0.worker, $0.wanted, $0.warm) })
        if groups.count == 1 { return try await claim(groups[0], choices[0], in: view) }
        return try await withThrowingTaskGroup { tasks in
            for (group, choices) in zip(groups, choices) {
                tasks.addTask { try await claim(group, choices, in: view) }
            }
            return try await tasks.reduce(into: []) { $0 += $1 }
        }
    }

    /// Claims for a group, and returns what was found for those that got something.
    private func claim(
        _ group: Group,
        _ choices: [Placement.Choice],
        in view: QueueView
    ) async throws -> [(place: Int, answer: ClaimOutcome)] {
        var choices = choices
        guard !choices.isEmpty else { return [] }
        let slots = group.members.flatMap { member in
            repeatElement(member.claim.worker, count: member.claim.limit)
        }
        let claimed: [(WorkerID, ClaimedTask)]
        if let special = choices.first(where: \.head.isSpecial) {
            if choices[0].head.id == special.head.id {
                choices = [special]
            } else {
                choices.removeAll(where: \.head.isSpecial)
            }
            claimed = try await claimLocked(choices, slots, group, in: view)
        } else {
            claimed = try await pool.withRetries {
                try await pool.withConnection(for: "claim") {
                    try await lease(choices, slots, group, in: view, on: $0)
                }
            }
        }
        if claimed.count < group.wanted {
            let found = Set(claimed.map(\.1.job))
            desk.forget(Set(choices.filter { !found.contains($0.head.job) }.map(\.head.id)))
        }
        var tasks = Dictionary(grouping: claimed, by: \.0).mapValues { $0.map(\.1)[...] }
        return group.members.compactMap { member in
            guard let own = tasks[member.claim.worker]?.prefix(member.claim.limit), !own.isEmpty
            else { return nil }
            tasks[member.claim.worker] = tasks[member.claim.worker]?.dropFirst(own.count)
            return (member.place, .tasks(Array(own)))
        }
    }

    /// Claims from a head whose limit or class has to hold across all coordinators: it is locked
    /// first, so that what is counted then stays so.
    private func claimLocked(
        _ choices: [Placement.Choice],
        _ slots: [WorkerID],
        _ group: Group,
        in view: QueueView
    ) async throws -> [(WorkerID, ClaimedTask)] {
        try await withRetriedTransaction { connection in
            for choice in choices where choice.head.isSpecial {
                guard try await admit(group.worker, to: choice.head, on: connection) else {
                    desk.forget([choice.head.id])
                    return []
                }
            }
            return try await lease(choices, slots, group, in: view, on: connection)
        }
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

    /// Leases tasks of the heads to the slots, and notes it.
    private func lease(
        _ choices: [Placement.Choice],
        _ slots: [WorkerID],
        _ group: Group,
        in view: QueueView,
        on connection: PostgresConnection
    ) async throws -> [(WorkerID, ClaimedTask)] {
        let names = group.members.compactMap { view.workers[$0.claim.worker]?.name }
        let rows = try await connection.query(
            leaseStatement(choices, slots, names, able: able(group.worker, in: view))
        )
        return try rows.map { row in
            let fence = AttemptFence(
                task: try row.decode("task_id"),
                attempt: try row.decode("attempt_id"),
                epoch: try row.decode("epoch")
            )
            let ids = try row.decode("images", as: [ImageID].self)
            let indices = try row.decode("indices", as: [Int].self)
            let task = ClaimedTask(
                fence: fence,
                job: try row.decode("job_id"),
                owner: try row.decode("owner"),
                number: try row.decode("number"),
                cost: try row.decode("cost"),
                numericClass: try row.decodeIfPresent("numeric_class"),
                leaseDeadline: try row.decode("deadline"),
                images: zip(ids, indices).map { ClaimedImage(id: $0, index: $1) }
            )
            let worker = try row.decode("worker_id", as: WorkerID.self)
            desk.note(
                head: try row.decode("head_id"),
                number: task.number,
                owner: task.owner,
                cost: task.cost,
                worker: worker
            )
            return (worker, task)
        }
    }

    /// The names of the workers that could run what this one can, where they are few: a task that
    /// all of them failed may be tried by any again.
    private func able(_ worker: WorkerCapability, in view: QueueView) -> [String] {
        let names = view.workers.values.filter {
            $0.refusal == nil && $0.modelDigest == worker.modelDigest && $0.pool == worker.pool
                && $0.precision == worker.precision
        }.map(\.name)
        return names.count <= Self.fewWorkers ? names : ["\u{1}"]
    }

    private static let fewWorkers = 16

    /// The answer to a claim for which there is nothing.
    private func refusal(of claim: TaskClaim, in view: QueueView) -> ClaimOutcome {
        guard let worker = view.workers[claim.worker] else { return .unknownWorker }
        if let state = worker.refusal { return .none(.workerState(state)) }
        if view.isFarmPaused { return .none(.farmPaused) }
        if view.pausedPools.contains(worker.pool) { return .none(.poolPaused) }
        var lacking: WaitingReason?
        for head in view.heads {
            guard let reason = view.exclusion(of: head, for: worker) else {
                return .none(.nothingWaits)
            }
            lacking = lacking ?? reason
        }
        guard let lacking else { return .none(.nothingWaits) }
        return .none(
            .notEligible(
                lacking,
                detail: "\(view.heads.count) jobs wait and this worker can run none of them"
            )
        )
    }
}
