import FarmModel

extension WaitingDiagnosis {
    /// What the group lacks that a task waits for: the one that forms for it, or the workers that
    /// could make one; where none of them can hold the model, what it needs of memory.
    func groupShortage(of demand: TaskDemand, model: String) -> WaitingCause {
        let wanted = demand.requirement
        if let forming = view.formation.groups.first(where: { view.formation.serves($0, demand) }) {
            return .noGroup(Self.shortage(of: forming, model: model))
        }
        let volunteers = view.formation.volunteers(for: demand)
        guard let size = view.formation.ranks(for: demand, among: volunteers) else {
            let memory = volunteers.lazy.compactMap(\.modelMemory).first
            return .noMemory(
                needed: memory?.needed(ranks: max(1, volunteers.count)) ?? 0,
                largest: volunteers.map(\.memory).max() ?? 0
            )
        }
        let able = volunteers.filter { $0.holds(rankOf: size) }
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

    private static func shortage(of group: GroupRecord, model: String) -> GroupShortage {
        let present = group.members.filter { $0.isFit && !$0.isMissed }
        return GroupShortage(
            size: group.size,
            model: model,
            precision: group.precision,
            pool: group.pool,
            members: present.map(\.name),
            doings: present.filter { $0.phase != .ready }
                .map { GroupShortage.doing(of: $0.rank, $0.phase) }
        )
    }
}
