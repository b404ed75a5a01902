import FarmModel

/// Workers to make a group of.
struct GroupTeam: Sendable, Hashable {
    var name: String
    var origin: GroupOrigin
    var pool: String
    var modelName: String
    var modelDigest: String
    var precision: String
    /// Of which class each member is alone.
    var memberClass = ""
    /// By rank.
    var workers: [WorkerID]
    /// In how many seconds the last of them has finished what it holds.
    var startSeconds = 0.0
}

/// Why a group that a person asks for cannot be made.
struct GroupRefusal: Error, Hashable {
    let sentence: String
}

/// A worker that takes part in groups, and is in none.
struct GroupCandidate: Sendable, Hashable {
    var id: WorkerID
    var name: String
    var pool: String
    var modelName: String
    var modelDigest: String
    var precision: String
    /// Of which its pictures are that it makes alone.
    var numericClass = ""
    var tags: Set<String>
    var memory: Int64
    var modelMemory: ModelMemory?
    var offer: GroupOffer
    /// What it computes alone, in floating point operations a second; 0 where that is not known, or
    /// it renders nothing alone.
    var speedAlone = 0.0
    /// In how many seconds it has finished what it holds; 0 where it holds nothing.
    var endSeconds = 0.0

    /// Whether its model can be split into so many ranks, and one fits into its memory, as far as
    /// that is known.
    func holds(rankOf ranks: Int) -> Bool {
        guard modelMemory?.splits(into: ranks) ?? true else { return false }
        guard memory > 0, let modelMemory else { return true }
        return modelMemory.needed(ranks: ranks) <= memory
    }
}

/// Which groups to make: a pure function of the workers that are free, the groups that there are
/// and what waits.
struct GroupFormation: Sendable {
    var candidates: [GroupCandidate] = []
    var groups: [GroupRecord] = []
    /// What waits and no worker alone is for, the first before the others.
    var needs: [TaskDemand] = []
    /// For how long a group may lack members and still count as there, in seconds.
    var patience = Double.infinity

    /// The groups to make now.
    func teams() -> [GroupTeam] {
        let named = namedTeams()
        let taken = Set(named.flatMap(\.workers))
        return named + neededTeams(taken: taken)
    }

    // MARK: - Named

    /// Groups whose members were started with their name, where enough are there.
    private func namedTeams() -> [GroupTeam] {
        struct Offer: Hashable {
            var name: String
            var size: Int
            var kind: GroupKind
        }
        var offers: [Offer: [GroupCandidate]] = [:]
        for candidate in candidates {
            guard let name = candidate.offer.name, let size = candidate.offer.size else { continue }
            let kind = GroupKind(of: candidate)
            offers[Offer(name: name, size: size, kind: kind), default: []].append(candidate)
        }
        var names = Set(groups.map(\.name))
        return offers.sorted { $0.key.name < $1.key.name }.compactMap { offer, members in
            guard members.count >= offer.size, names.insert(offer.name).inserted else { return nil }
            let chosen = members.sorted { $0.name < $1.name }.prefix(offer.size)
            guard chosen.allSatisfy({ $0.modelMemory?.splits(into: offer.size) ?? true }) else {
                return nil
            }
            return Self.team(Array(chosen), named: offer.name, .named)
        }
    }

    // MARK: - Needed

    private func neededTeams(taken: Set<WorkerID>) -> [GroupTeam] {
        var taken = taken
        var teams: [GroupTeam] = []
        for need in needs {
            let isServed =
                groups.contains { !lacksLong($0) && serves($0, need) }
                || teams.contains { serves($0, need) }
            guard !isServed, let team = team(for: need, without: taken) else { continue }
            taken.formUnion(team.workers)
            teams.append(team)
        }
        return teams
    }

    /// Whether a group has lacked members for so long that nothing is to wait for it alone: a worker
    /// that is only started again is back before.
    func lacksLong(_ group: GroupRecord) -> Bool { group.lackingSeconds ?? 0 > patience }

    /// Whether a group is for a need, or will be: one that all members have left is for none.
    func serves(_ group: GroupRecord, _ need: TaskDemand) -> Bool {
        let wanted = need.requirement
        return group.state != .draining && group.members.contains(where: \.isFit)
            && group.modelDigest == need.modelDigest
            && wanted.pool.map { $0 == group.pool } ?? true
            && wanted.precision.map { $0 == group.precision } ?? true
            && (wanted.groupSize == 1 || wanted.groupSize == group.size
                || wanted.groupSize == group.wantedSize && need.isOfAnyClass)
            && isOfClass(group, need)
            && group.leader.map { $0.tags.isSuperset(of: wanted.tags) } ?? false
            && group.leader.map { $0.memory >= wanted.memoryBytes ?? 0 } ?? false
    }

    /// Whether a group's class is a need's, or can be, where the group has not told it yet.
    private func isOfClass(_ group: GroupRecord, _ need: TaskDemand) -> Bool {
        guard let wanted = need.numericClass else { return true }
        return group.numericClass.isEmpty
            ? ClassOfGroup.canBe(wanted, of: group.memberClass, ranks: group.size)
            : wanted == group.numericClass
    }

    private func serves(_ team: GroupTeam, _ need: TaskDemand) -> Bool {
        let size = need.ranks
        return (size == 1 || team.workers.count == size)
            && Set(volunteers(for: need).map(\.id)).isSuperset(of: team.workers)
    }

    /// The group that starts first of those that could be made for a need.
    func team(for need: TaskDemand, without taken: Set<WorkerID> = []) -> GroupTeam? {
        let free = volunteers(for: need).filter { !taken.contains($0.id) }
        return free.byKind.values
            .compactMap { team(of: $0, ranks: ranks(for: need, among: $0)) }
            .min { ($0.startSeconds, $0.name) < ($1.startSeconds, $1.name) }
    }

    /// The workers in no group that would join one for a need, whatever it takes of memory.
    func volunteers(for need: TaskDemand) -> [GroupCandidate] {
        let wanted = need.requirement
        return candidates.filter {
            $0.offer.name == nil && $0.modelDigest == need.modelDigest
                && $0.tags.isSuperset(of: wanted.tags)
                && wanted.pool.map { [pool = $0.pool] in $0 == pool } ?? true
                && wanted.precision.map { [precision = $0.precision] in $0 == precision } ?? true
                && wanted.memoryBytes.map { [memory = $0.memory] in $0 <= memory } ?? true
                && need.numericClass.map { [member = $0.numericClass] numericClass in
                    ClassOfGroup.canBe(numericClass, of: member, ranks: need.ranks)
                } ?? true
        }
    }

    /// How many ranks a need takes of workers of one kind; nil where they cannot hold the model.
    func ranks(for need: TaskDemand, among free: [GroupCandidate]) -> Int? {
        let wanted = need.ranks
        guard wanted == 1 else {
            let isPossible =
                free.isEmpty || free.contains { $0.modelMemory?.splits(into: wanted) ?? true }
            return isPossible ? wanted : nil
        }
        // No worker renders it alone, whatever it says of its memory.
        return GroupChoice.smallestGroup(
            of: 2,
            holding: free.lazy.compactMap(\.modelMemory).first,
            free: free.map(\.memory)
        )
    }

    /// Idle workers first, then those that end soonest.
    private func team(of free: [GroupCandidate], ranks: Int?) -> GroupTeam? {
        guard let ranks else { return nil }
        let able = free.filter { $0.holds(rankOf: ranks) }.sorted(by: Self.isSooner)
        guard able.count >= ranks else { return nil }
        let chosen = Array(able.prefix(ranks))
        return Self.team(chosen, named: freeName(for: chosen), .needed)
    }

    private static func isSooner(_ one: GroupCandidate, _ other: GroupCandidate) -> Bool {
        (one.endSeconds, one.name) < (other.endSeconds, other.name)
    }

    /// A name after the first member, which no other group has.
    private func freeName(for members: [GroupCandidate]) -> String {
        let base = "\(members.first?.name ?? "group")-x\(members.count)"
        let taken = Set(groups.map(\.name))
        guard taken.contains(base) else { return base }
        return (2...).lazy.map { "\(base)-\($0)" }.first { !taken.contains($0) } ?? base
    }

    private static func team(
        _ members: [GroupCandidate],
        named name: String,
        _ origin: GroupOrigin
    ) -> GroupTeam? {
        guard let first = members.first else { return nil }
        return GroupTeam(
            name: name,
            origin: origin,
            pool: first.pool,
            modelName: first.modelName,
            modelDigest: first.modelDigest,
            precision: first.precision,
            memberClass: first.numericClass,
            workers: members.map(\.id),
            startSeconds: members.map(\.endSeconds).max() ?? 0
        )
    }

    // MARK: - Spares

    /// Workers for seats, by rank, idle ones first; fewer where there are not enough.
    ///
    /// Who is to lead has the tags and the memory that what waits for the group asks for.
    func spares(
        for group: GroupRecord,
        ranks: [Int],
        of size: Int? = nil
    ) -> [Int: GroupCandidate] {
        let own = GroupKind(of: group)
        var able = candidates.filter {
            GroupKind(of: $0) == own && $0.holds(rankOf: size ?? group.size)
                && ($0.offer.name == group.name
                    || $0.offer.name == nil && group.origin != .named)
        }.sorted(by: Self.isSooner)
        let led = needs.filter { serves(group, $0) }.map(\.requirement)
        return ranks.sorted().reduce(into: [:]) { spares, rank in
            let place = able.firstIndex { candidate in
                rank > 0
                    || led.allSatisfy {
                        candidate.tags.isSuperset(of: $0.tags)
                            && candidate.memory >= $0.memoryBytes ?? 0
                    }
            }
            spares[rank] = place.map { able.remove(at: $0) }
        }
    }

    // MARK: - What a person asks for

    /// The workers for a group that a person asks for.
    func team(for wish: GroupWish) -> Result<GroupTeam, GroupRefusal> {
        let free = candidates.filter { candidate in
            wish.modelDigest.map { $0 == candidate.modelDigest } ?? true
                && wish.precision.map { $0 == candidate.precision } ?? true
                && wish.pool.map { $0 == candidate.pool } ?? true
                && (candidate.offer.name == nil || candidate.offer.name == wish.name)
        }
        guard wish.workers.isEmpty else { return team(ofNamed: wish, free) }
        guard let size = wish.size, size > 1 else {
            return .failure(GroupRefusal(sentence: "give the size of the group, at least 2"))
        }
        if let refusal = Self.refusal(ofSize: size, free) { return .failure(refusal) }
        let teams = free.byKind.values.compactMap { team(of: $0, ranks: size) }
        guard teams.count <= 1 else {
            return .failure(
                GroupRefusal(
                    sentence: "workers of several models, precisions, pools or numeric classes "
                        + "could make it; say which"
                )
            )
        }
        guard let team = teams.first else {
            return .failure(
                GroupRefusal(
                    sentence: "it takes \(size) workers of one model, precision, pool and numeric "
                        + "class that offer to join groups and are in none; there are \(free.count): start "
                        + "more with --group auto"
                )
            )
        }
        return .success(team)
    }

    /// Why none of some workers' models can be split into so many ranks; nil where one can.
    private static func refusal(ofSize size: Int, _ free: [GroupCandidate]) -> GroupRefusal? {
        let most = free.map { $0.modelMemory?.mostRanks ?? .max }.max() ?? .max
        guard size > most else { return nil }
        return GroupRefusal(
            sentence: "a model of \(most) heads cannot be split over \(size) workers; "
                + "ask for a smaller group"
        )
    }

    /// The group of workers that a person names, in their order.
    private func team(
        ofNamed wish: GroupWish,
        _ free: [GroupCandidate]
    ) -> Result<GroupTeam, GroupRefusal> {
        let members = wish.workers.compactMap { id in free.first { $0.id == id } }
        guard members.count == wish.workers.count, Set(wish.workers).count == members.count else {
            return .failure(
                GroupRefusal(
                    sentence: "each of its workers has to offer to join groups and to be in none"
                )
            )
        }
        guard members.count > 1, wish.size.map({ $0 == members.count }) ?? true,
            members.byKind.count == 1
        else {
            return .failure(
                GroupRefusal(
                    sentence: "a group takes as many workers as its size says, at least 2, of one "
                        + "model, precision, pool and numeric class"
                )
            )
        }
        if let refusal = Self.refusal(ofSize: members.count, members) { return .failure(refusal) }
        guard members.allSatisfy({ $0.holds(rankOf: members.count) }),
            let team = Self.team(members, named: freeName(for: members), .operator)
        else {
            return .failure(
                GroupRefusal(sentence: "a slice of the model does not fit into each of its workers")
            )
        }
        return .success(team)
    }
}
