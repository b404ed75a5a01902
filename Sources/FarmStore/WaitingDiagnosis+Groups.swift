import FarmModel

extension WaitingDiagnosis {
    /// What the group lacks that a task waits for: the one that forms for it, or the workers that
    /// could make one; where no number of them can hold the model, what it needs of memory.
    func groupShortage(of demand: TaskDemand, model: String) -> WaitingCause {
        let wanted = demand.requirement
        let serving = view.formation.groups.filter { view.formation.serves($0, demand) }
        if let forming = serving.first(where: { !view.formation.lacksLong($0) }) {
            return .noGroup(shortage(of: forming, model: model))
        }
        let volunteers = view.formation.volunteers(for: demand)
        let largest = volunteers.map(\.memory).max() ?? 0
        let memory = volunteers.lazy.compactMap(\.modelMemory).first
        if let most = memory?.mostRanks, wanted.groupSize > most {
            var shortage = GroupShortage(size: wanted.groupSize, model: model)
            shortage.mostRanks = most
            return .noGroup(shortage)
        }
        guard
            let size = view.formation.ranks(for: demand, among: volunteers)
                ?? GroupOffer.sizes.first(where: { ranks in
                    memory.map { $0.needed(ranks: ranks) <= largest } ?? true
                })
        else {
            return .noMemory(
                needed: memory?.needed(ranks: GroupOffer.sizes.upperBound) ?? 0,
                largest: largest
            )
        }
        let able =
            volunteers.filter { $0.holds(rankOf: size) }.byKind.values
            .max { ($0.count, $1[0].name) < ($1.count, $0[0].name) } ?? []
        if able.count < size, let lacking = serving.first {
            return .noGroup(shortage(of: lacking, model: model))
        }
        if able.count < size, let foreign = foreignGroup(for: demand, model: model) {
            return .noGroup(foreign)
        }
        return .noGroup(
            GroupShortage(
                size: size,
                model: model,
                precision: wanted.precision ?? able.first?.precision,
                pool: wanted.pool,
                members: able.prefix(size).map(\.name)
            )
        )
    }

    /// A group that would be for a task if it asked for no class; nil where there is none.
    private func foreignGroup(for demand: TaskDemand, model: String) -> GroupShortage? {
        var classless = demand
        classless.numericClass = nil
        guard let numericClass = demand.numericClass,
            let other = view.formation.groups.first(where: { view.formation.serves($0, classless) })
        else { return nil }
        let own = other.numericClass.isEmpty ? other.memberClass : other.numericClass
        var shortage = shortage(of: other, model: model)
        shortage.hindrance = "renders in the class \(own), and it asks for \(numericClass)"
        shortage.isOfOtherClass = true
        return shortage
    }

    private func shortage(of group: GroupRecord, model: String) -> GroupShortage {
        let present = group.members.filter { $0.isFit && !$0.isMissed }
        let resting = group.members.filter(\.isResting)
            .map { "rank \($0.rank) rests: \(group.reason ?? "it broke off")" }
        var shortage = GroupShortage(
            size: group.size,
            model: model,
            precision: group.precision,
            pool: group.pool,
            members: present.map(\.name),
            doings: present.filter { $0.phase != .ready }
                .map { GroupShortage.doing(of: $0.rank, $0.phase) } + resting
        )
        let missing = group.members.filter { !present.contains($0) }.map(\.rank)
        shortage.spares = view.formation.spares(for: group, ranks: missing).count
        let leaving = group.unfit.map(\.name).joined(separator: ", ")
        switch group.state {
        case .busy:
            let tasks = group.leader?.leases ?? 1
            shortage.hindrance =
                "is busy with \(tasks) \(tasks == 1 ? "task" : "tasks") and takes nothing new"
                + (leaving.isEmpty ? "" : ", since these leave: \(leaving)")
        case .ready where !leaving.isEmpty: shortage.hindrance = "gets new members for \(leaving)"
        default: break
        }
        return shortage
    }
}
