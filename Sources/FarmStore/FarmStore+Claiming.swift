package import FarmModel
import FoundationEssentials
import Postgres

extension FarmStore {
    /// Leases at most `limit` tasks that the worker can run, as ``Placement`` orders them.
    ///
    /// Calls that come together share a statement. Its cost does not depend on how many tasks wait:
    /// it looks into at most 64 heads, in each at the first tasks, and skips what another claim has
    /// locked. Among jobs that an owner has put side by side, `warm` ones go first. A claim of an
    /// `epoch` that is over gets nothing; 0 is any. So does one whose `lead` is not the group that the
    /// worker claims for by then: it would render in another class.
    package func claimTasks(
        worker: WorkerID,
        epoch: Int64 = 0,
        limit: Int,
        warm: Set<JobID> = [],
        lead: GroupEpoch? = nil
    ) async throws -> ClaimOutcome {
        precondition(limit > 0, "A claim asks for a task")
        let claim = TaskClaim(worker: worker, epoch: epoch, limit: limit, warm: warm, lead: lead)
        return try await claims.answer(to: claim) { try await answer($0) }
    }

    /// Answers claims: from what is known of the queue, and where that gave nothing, from what is
    /// then read of it.
    private func answer(
        _ claims: [TaskClaim]
    ) async throws -> [Result<ClaimOutcome, any Error>] {
        var answers = [Result<ClaimOutcome, any Error>?](repeating: nil, count: claims.count)
        for isLastTry in [false, true] {
            let known = isLastTry ? nil : desk.freshView
            let view: QueueView
            do {
                view = if let known { known } else { try await desk.read { try await readQueue() } }
            } catch {
                // who has leases keeps them
                return answers.map { $0 ?? .failure(error) }
            }
            let open = claims.indices.filter { answers[$0] == nil }
            let groups = Self.groups(of: open.map { (claims[$0], $0) }, in: view)
            for (place, answer) in await claim(groups, in: view) { answers[place] = answer }
            guard answers.contains(where: { $0 == nil }) else { break }
            if known == nil { break }
        }
        let view = desk.latestView
        return zip(claims, answers).map { claim, answer in
            answer ?? .success(view.refusal(of: claim))
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
        let apart = view.heads.reduce(into: Set(view.blocks.map(\.worker))) {
            $0.formUnion($1.avoided)
        }
        for var member in claims {
            guard let worker = view.workers[member.claim.worker], worker.refusal == nil,
                member.claim.isOf(worker), member.claim.knowsSeat(of: worker)
            else {
                // Who was not here, or so, when the view was read may be in the next one.
                continue
            }
            // A second one would begin when the first one ends.
            if worker.reservation != nil || worker.promise != nil { member.claim.limit = 1 }
            let warm = member.claim.warm.intersection(rivals)
            var key = Key(worker: worker, warm: warm)
            // Where limits count workers, or some task is not for this one, each is looked at for
            // itself: else what one may not have is kept from those it came with.
            if !special, !apart.contains(worker.name), worker.promise == nil {
                key.worker.id = WorkerID(rawValue: Self.anyone)
                key.worker.epoch = 0
                key.worker.name = ""
                key.worker.lead = nil
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

    /// What was found for a claim, or what kept its group from looking.
    private typealias Answer = (place: Int, answer: Result<ClaimOutcome, any Error>)

    /// Claims for all groups side by side, so that their transactions end together; an owner whose
    /// tasks one group is to get is charged before the next one's are chosen.
    private func claim(_ groups: [Group], in view: QueueView) async -> [Answer] {
        let choices = Placement(view: view, ageBound: configuration.ageBound)
            .choices(for: groups.map { ($0.worker, $0.wanted, $0.warm) })
        if groups.count == 1 { return await claim(groups[0], choices[0], in: view) }
        return await withTaskGroup { tasks in
            for (group, choices) in zip(groups, choices) {
                tasks.addTask { await claim(group, choices, in: view) }
            }
            return await tasks.reduce(into: []) { $0 += $1 }
        }
    }

    /// Claims for a group, and returns what was found for those that got something; what fails is
    /// the answer to its members alone, since other groups may have their leases by now.
    private func claim(
        _ group: Group,
        _ choices: [Placement.Choice],
        in view: QueueView
    ) async -> [Answer] {
        do {
            return try await tasks(for: group, choices, in: view)
                .map { ($0.place, .success(.tasks($0.tasks))) }
        } catch {
            return group.members.map { ($0.place, .failure(error)) }
        }
    }

    private func tasks(
        for group: Group,
        _ choices: [Placement.Choice],
        in view: QueueView
    ) async throws -> [(place: Int, tasks: [ClaimedTask])] {
        var choices = choices
        let promise = group.worker.promise
        if let promise { choices = Self.choices(for: promise, in: view) }
        guard !choices.isEmpty || promise != nil else { return [] }
        let slots = group.members.flatMap { member in
            repeatElement(
                ClaimSlot(
                    worker: member.claim.worker,
                    epoch: member.claim.epoch,
                    isMember: group.worker.isMember,
                    lead: member.claim.lead
                ),
                count: member.claim.limit
            )
        }
        let claimed: [(WorkerID, ClaimedTask)]
        if let promise {
            claimed = try await claimPromised(promise, choices, slots, group, in: view)
        } else if let special = choices.first(where: \.head.isSpecial) {
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
        // What does not end before a group starts is still there for others.
        if claimed.count < group.wanted, group.worker.reservation == nil {
            let found = Set(claimed.map(\.1.job))
            desk.forget(Set(choices.filter { !found.contains($0.head.job) }.map(\.head.id)))
        }
        var tasks = Dictionary(grouping: claimed, by: \.0).mapValues { $0.map(\.1)[...] }
        return group.members.compactMap { member in
            guard let own = tasks[member.claim.worker]?.prefix(member.claim.limit), !own.isEmpty
            else { return nil }
            tasks[member.claim.worker] = tasks[member.claim.worker]?.dropFirst(own.count)
            return (member.place, Array(own))
        }
    }

    /// Claims from a head whose limit or class has to hold across all coordinators: it is locked
    /// first, so that what is counted then stays so.
    private func claimLocked(
        _ choices: [Placement.Choice],
        _ slots: [ClaimSlot],
        _ group: Group,
        in view: QueueView
    ) async throws -> [(WorkerID, ClaimedTask)] {
        try await withRetriedTransaction { connection in
            if group.worker.groupSize > 1 { try await lockLead(slots, on: connection) }
            guard try await admit(group.worker, to: choices, on: connection) else { return [] }
            return try await lease(choices, slots, group, in: view, on: connection)
        }
    }

    /// What a promise leaves to choose: its task's head, if that is open.
    private static func choices(
        for promise: TaskPromise,
        in view: QueueView
    ) -> [Placement.Choice] {
        view.heads.filter { $0.id == promise.head }.map { head in
            var head = head
            head.first = promise.number
            return Placement.Choice(head: head, count: 1)
        }
    }

    /// Claims what a worker was promised, which is over with it: where the task is not to be had any more,
    /// the worker's next claim is like any.
    private func claimPromised(
        _ promise: TaskPromise,
        _ choices: [Placement.Choice],
        _ slots: [ClaimSlot],
        _ group: Group,
        in view: QueueView
    ) async throws -> [(WorkerID, ClaimedTask)] {
        let claimed = try await withRetriedTransaction { connection in
            if group.worker.groupSize > 1 { try await lockLead(slots, on: connection) }
            try await lockHead(of: promise, on: connection)
            var claimed: [(WorkerID, ClaimedTask)] = []
            if !choices.isEmpty, try await admit(group.worker, to: choices, on: connection) {
                claimed = try await lease(choices, slots, group, in: view, on: connection)
            }
            try await endPromise(promise, of: group.worker.id, on: connection)
            return claimed
        }
        desk.expire()
        return claimed
    }

    /// Locks the heads whose limit or class has to hold, and tells whether a worker may claim from each.
    private func admit(
        _ worker: WorkerCapability,
        to choices: [Placement.Choice],
        on connection: PostgresConnection
    ) async throws -> Bool {
        for choice in choices where choice.head.isSpecial {
            guard try await admit(worker, to: choice.head, on: connection) else {
                desk.forget([choice.head.id])
                return false
            }
        }
        return true
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
        _ slots: [ClaimSlot],
        _ group: Group,
        in view: QueueView,
        on connection: PostgresConnection
    ) async throws -> [(WorkerID, ClaimedTask)] {
        let names = group.members.compactMap { view.workers[$0.claim.worker]?.name }
        let rows = try await connection.query(
            leaseStatement(
                choices,
                slots,
                names,
                promise: group.worker.promise,
                until: group.worker.reservation,
                able: choices.map { view.able(toRun: $0.head) }
            )
        )
        let short = choices.map(\.head).filter {
            group.worker.groupSize > 1 && $0.requirement.groupSize > group.worker.groupSize
        }
        for head in short {
            try await tellFallback(of: head, to: group.worker, rows, on: connection)
        }
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
                waitSeconds: try row.decodeIfPresent("wait"),
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
}
