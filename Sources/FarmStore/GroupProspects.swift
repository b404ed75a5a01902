package import FarmModel
package import FoundationEssentials

/// Pictures of a job that are wanted by a moment.
package struct WantedPictures: Sendable {
    package var modelDigest: String
    package var requirement: TaskRequirement
    /// The costliest of them.
    package var image: ImageCost
    /// What its model's cost follows from.
    package var costs: CostConstants
    package var finishBy: Date

    package init(
        modelDigest: String,
        requirement: TaskRequirement,
        image: ImageCost,
        costs: CostConstants,
        finishBy: Date
    ) {
        self.modelDigest = modelDigest
        self.requirement = requirement
        self.image = image
        self.costs = costs
        self.finishBy = finishBy
    }
}

/// What decides whether pictures that are wanted by a moment are for a group; pure.
struct GroupProspects: Sendable {
    /// The live workers.
    var workers: [WorkerRecord] = []
    /// The workers that join groups, those that are in one too.
    var formation = GroupFormation()
    /// What the network of a pool gave when a group of it last measured it.
    var links: [String: CostModel.Link] = [:]
    /// The database's moment.
    var now: Date

    /// The group that pictures are for, as they are late without it; nil where workers alone are to
    /// make them.
    ///
    /// What is late already is not hastened: workers alone make more pictures.
    func decision(about wanted: WantedPictures) -> GroupDecision? {
        let demand = TaskDemand(modelDigest: wanted.modelDigest, requirement: wanted.requirement)
        let volunteers = formation.volunteers(for: demand)
        guard demand.isOfAnyClass, wanted.requirement.groupSize == 1, wanted.finishBy > now,
            let speed = speed(for: wanted, volunteers),
            let alone = CostModel.seconds(wanted.image.flops, speed: speed)
        else { return nil }
        let model = CostModel(wanted.costs)
        return volunteers.byKind.compactMap { kind, members -> GroupDecision? in
            guard members.count > 1 else { return nil }
            let sizes = (2...members.count).filter { ranks in
                members.count { $0.holds(rankOf: ranks) } >= ranks
            }
            var seconds: [Int: Double] = [:]
            for ranks in sizes {
                seconds[ranks] = model.groupSeconds(
                    of: wanted.image,
                    ranks: ranks,
                    flopsPerSecond: speed,
                    link: links[kind.pool] ?? .assumed,
                    precision: kind.precision
                )
            }
            return GroupDecision(
                secondsAlone: alone,
                secondsInGroup: seconds,
                wantedBy: wanted.finishBy,
                now: now,
                workers: members.count
            )
        }.min { ($0.seconds, $0.ranks) < ($1.seconds, $1.ranks) }
    }

    /// Whether a group that was chosen for pictures is there, or could still be made.
    func canServe(_ wanted: WantedPictures) -> Bool {
        let demand = TaskDemand(modelDigest: wanted.modelDigest, requirement: wanted.requirement)
        guard !formation.groups.contains(where: { formation.serves($0, demand) }) else {
            return true
        }
        let size = wanted.requirement.groupSize
        let able = formation.volunteers(for: demand).filter { $0.holds(rankOf: size) }
        return able.byKind.values.contains { $0.count >= size }
    }

    /// The median speed of the workers that can render alone what is wanted, or could where all of
    /// them are in groups; nil where there is none.
    private func speed(for wanted: WantedPictures, _ volunteers: [GroupCandidate]) -> Double? {
        workers.able(toRun: wanted.modelDigest, wanted.requirement).medianSpeed
            ?? volunteers.map(\.speedAlone).medianSpeed
    }
}
