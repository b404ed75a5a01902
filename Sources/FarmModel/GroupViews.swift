package import FoundationEssentials

/// Why a group was made.
package enum GroupOrigin: String, Codable, CaseIterable, Sendable {
    /// Its members were started with its name.
    case named
    /// Tasks waited that ask for it.
    case needed
    /// A person asked for it.
    case `operator`
}

/// A group as the API gives it.
package struct GroupView: Codable, Hashable, Sendable {
    package var id: GroupID
    package var name: String
    package var state: GroupState
    package var origin: GroupOrigin
    package var pool: String
    package var model: String
    package var modelDigest: String
    package var precision: String
    /// How many members it has.
    package var size: Int
    /// How many were asked for.
    package var wantedSize: Int
    /// Counts the times that its members had to find each other anew.
    package var epoch: Int64
    /// The class of its pictures; empty before it is ready.
    package var numericClass: String
    /// Floating point operations a second; nil before anything was measured.
    package var speed: Double?
    package var createdAt: Date
    package var formedAt: Date?
    /// How long the members took to be ready, in seconds.
    package var formationSeconds: Double?
    /// When a reservation that does not come to a group is given up.
    package var expiresAt: Date?
    /// Why its last epoch ended, or the group.
    package var reason: String?
    /// By rank.
    package var members: [GroupMemberView]

    package init(
        id: GroupID,
        name: String,
        state: GroupState,
        origin: GroupOrigin,
        pool: String,
        model: String,
        modelDigest: String,
        precision: String,
        size: Int,
        wantedSize: Int,
        epoch: Int64,
        numericClass: String,
        createdAt: Date,
        members: [GroupMemberView]
    ) {
        self.id = id
        self.name = name
        self.state = state
        self.origin = origin
        self.pool = pool
        self.model = model
        self.modelDigest = modelDigest
        self.precision = precision
        self.size = size
        self.wantedSize = wantedSize
        self.epoch = epoch
        self.numericClass = numericClass
        self.createdAt = createdAt
        self.members = members
    }
}

/// A member of a group as the API gives it.
package struct GroupMemberView: Codable, Hashable, Sendable {
    package var rank: Int
    package var worker: WorkerID
    package var name: String
    package var phase: GroupPhase
    /// Whether it is there and may take part.
    package var isFit: Bool
    package var lastSeenAt: Date
    package var figures: GroupFigures?

    package init(
        rank: Int,
        worker: WorkerID,
        name: String,
        phase: GroupPhase,
        isFit: Bool,
        lastSeenAt: Date,
        figures: GroupFigures? = nil
    ) {
        self.rank = rank
        self.worker = worker
        self.name = name
        self.phase = phase
        self.isFit = isFit
        self.lastSeenAt = lastSeenAt
        self.figures = figures
    }
}

/// A group that a person asks for: the body of `POST /v1/groups`.
package struct GroupRequest: Codable, Hashable, Sendable {
    /// How many members; as many as there are ``workers`` where that is left out.
    package var size: Int?
    /// The model's name; the only one that enough workers hold where it is left out.
    package var model: String?
    package var precision: String?
    package var pool: String?
    /// Its members by name, the first is rank 0; any where it is left out.
    package var workers: [String]?
    package var name: String?

    package init(size: Int? = nil, workers: [String]? = nil, name: String? = nil) {
        self.size = size
        self.workers = workers
        self.name = name
    }
}
