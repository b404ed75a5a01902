/// What the members of a group have in common: workers of one kind can make one.
struct GroupKind: Hashable, Sendable {
    let pool: String
    let modelDigest: String
    let precision: String
    /// Of which class each is alone.
    let memberClass: String
}

extension GroupKind {
    init(of candidate: GroupCandidate) {
        self.init(
            pool: candidate.pool,
            modelDigest: candidate.modelDigest,
            precision: candidate.precision,
            memberClass: candidate.numericClass
        )
    }

    init(of group: GroupRecord) {
        self.init(
            pool: group.pool,
            modelDigest: group.modelDigest,
            precision: group.precision,
            memberClass: group.memberClass
        )
    }
}

extension Sequence<GroupCandidate> {
    /// The workers by kind.
    var byKind: [GroupKind: [GroupCandidate]] {
        Dictionary(grouping: self, by: GroupKind.init(of:))
    }
}
