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
        let isForSome = view.heads.contains(where: \.isForSome)
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
            if !isForSome, !apart.contains(worker.name), worker.promise == nil {
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
        let claimed: [(worker: WorkerID, task: ClaimedTask)]
        if let promise {
            claimed = try await claimPromised(promise, choices, slots, group, in: view)
        } else {
            (claimed, choices) = try await claimInTurn(choices, slots, group, in: view)
        }
        log(claimed: claimed, in: group.worker.pool)
        // What does not end before a group starts is still there for others.
        if claimed.count < group.wanted, group.worker.reservation == nil {
            let found = Set(claimed.map(\.task.job))
            desk.forget(Set(choices.filter { !found.contains($0.head.job) }.map(\.head.id)))
        }
        var tasks = Dictionary(grouping: claimed, by: \.worker)
            .mapValues { $0.map(\.task)[...] }
        return group.members.compactMap { member in
            guard let own = tasks[member.claim.worker]?.prefix(member.claim.limit), !own.isEmpty
            else { return nil }
            tasks[member.claim.worker] = tasks[member.claim.worker]?.dropFirst(own.count)
            return (member.place, Array(own))
        }
    }

    /// How many heads that have to be locked one claim takes from.
    private static let lockedWidth = 8

    /// Claims from the heads in their order: alone from those that are bounded, while these come
    /// first, then from the others together; a bounded one behind others waits for the next claim.
    ///
    /// - Returns: What was claimed, and from which heads was tried. What fails once there are leases
    ///   is not told: who has leases keeps them.
    private func claimInTurn(
        _ choices: [Placement.Choice],
        _ slots: [ClaimSlot],
        _ group: Group,
        in view: QueueView
    ) async throws -> (claimed: [(worker: WorkerID, task: ClaimedTask)], tried: [Placement.Choice])
    {
        let bounded = choices.prefix(while: \.head.isSpecial).prefix(Self.lockedWidth)
        let open = choices.filter { !$0.head.isSpecial }
        var slots = slots
        var claimed: [(worker: WorkerID, task: ClaimedTask)] = []
        var tried: [Placement.Choice] = []
        do {
            for choice in bounded where !slots.isEmpty {
                tried.append(choice)
                let own = Array(slots.prefix(choice.count))
                let new = try await claimLocked(choice, own, group, in: view)
                for (worker, _) in new {
                    if let slot = slots.firstIndex(where: { $0.worker == worker }) {
                        slots.remove(at: slot)
                    }
                }
                claimed += new
            }
            guard !slots.isEmpty, !open.isEmpty else { return (claimed, tried) }
            tried += open
            claimed += try await pool.withRetries { [slots] in
                try await pool.withConnection(for: "claim") {
                    try await lease(open, slots, group, in: view, on: $0)
                }
            }
        } catch  where !claimed.isEmpty {}
        return (claimed, tried)
    }

    /// Claims from a head whose bounds or class have to hold across all coordinators: what bounds it
    /// is locked first, so that what is counted then stays so.
    private func claimLocked(
        _ choice: Placement.Choice,
        _ slots: [ClaimSlot],
        _ group: Group,
        in view: QueueView
    ) async throws -> [(worker: WorkerID, task: ClaimedTask)] {
        try await withRetriedTransaction { connection in
            if group.worker.groupSize > 1 { try await lockLead(slots, on: connection) }
            return try await claimAdmitted(choice, slots, group, in: view, on: connection)
        }
    }

    /// Claims as much of a head as the worker may have of it.
    private func claimAdmitted(
        _ choice: Placement.Choice,
        _ slots: [ClaimSlot],
        _ group: Group,
        in view: QueueView,
        on connection: PostgresConnection
    ) async throws -> [(worker: WorkerID, task: ClaimedTask)] {
        guard let room = try await admit(group.worker, to: choice, on: connection) else {
            return []
        }
        var choice = choice
        choice.count = room.tasks
        return try await lease(
            [choice],
            Array(slots.prefix(room.tasks)),
            group,
            in: view,
            images: room.images,
            on: connection
        )
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
    ) async throws -> [(worker: WorkerID, task: ClaimedTask)] {
        let claimed = try await withRetriedTransaction { connection in
            if group.worker.groupSize > 1 { try await lockLead(slots, on: connection) }
            try await lockHead(of: promise, on: connection)
            var claimed: [(worker: WorkerID, task: ClaimedTask)] = []
            if let choice = choices.first {
                claimed = try await claimAdmitted(choice, slots, group, in: view, on: connection)
            }
            try await endPromise(promise, of: group.worker.id, on: connection)
            return claimed
        }
        desk.expire()
        return claimed
    }

    /// Leases tasks of the heads to the slots, and notes it.
    private func lease(
        _ choices: [Placement.Choice],
        _ slots: [ClaimSlot],
        _ group: Group,
        in view: QueueView,
        images: Int? = nil,
        on connection: PostgresConnection
    ) async throws -> [(worker: WorkerID, task: ClaimedTask)] {
        let names = group.members.compactMap { view.workers[$0.claim.worker]?.name }
        let rows = try await connection.query(
            leaseStatement(
                choices,
                slots,
                names,
                promise: group.worker.promise,
                images: images,
                ranks: max(1, group.worker.groupSize),
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
                images: task.images.count,
                worker: worker
            )
            return (worker, task)
        }
    }
}
