package import FoundationEssentials

/// How a worker takes part in groups: a part of its registration.
///
/// One without a name takes part in any group of its pool, model and precision.
package struct GroupOffer: Codable, Hashable, Sendable {
    /// How many workers a group has.
    package static let sizes = 2...64

    /// The group that it belongs to, and no other.
    package var name: String?
    /// How many workers the named group has.
    package var size: Int?

    package init(name: String? = nil, size: Int? = nil) {
        self.name = name
        self.size = size
    }

    /// Whether a group can be named so: an id names another one.
    package static func isName(_ text: String) -> Bool {
        (1...100).contains(text.count) && GroupID(text) == nil
            && !text.unicodeScalars.contains { $0.properties.generalCategory == .control }
    }

    /// Reads `auto`, or a name and a size as `pair/2`.
    package init?(_ text: String) {
        if text == "auto" {
            self.init()
            return
        }
        guard let slash = text.lastIndex(of: "/"), slash > text.startIndex,
            let size = Int(text[text.index(after: slash)...]), Self.sizes.contains(size)
        else { return nil }
        self.init(name: String(text[..<slash]), size: size)
    }
}

/// The memory that a model takes in one precision, in bytes.
package struct ModelMemory: Codable, Hashable, Sendable {
    /// The weights that the members of a group share between them.
    package var sharded: Int64
    /// The weights that each member holds whole.
    package var replicated: Int64
    /// What rendering takes beside the weights.
    package var working: Int64
    /// Into how many ranks the model can be split: it has no more heads; nil is any number.
    package var mostRanks: Int?

    package init(sharded: Int64, replicated: Int64, working: Int64, mostRanks: Int? = nil) {
        self.sharded = sharded
        self.replicated = replicated
        self.working = working
        self.mostRanks = mostRanks
    }

    /// Whether the model can be split into so many ranks.
    package func splits(into ranks: Int) -> Bool { mostRanks.map { ranks <= $0 } ?? true }

    /// What each of so many ranks needs; with one, what a worker alone does.
    package func needed(ranks: Int) -> Int64 {
        let count = Int64(max(1, ranks))
        return (sharded + count - 1) / count + replicated + working
    }
}

/// How far a member of a group is.
package enum GroupPhase: String, Codable, CaseIterable, Sendable {
    /// It finishes what it holds.
    case reserved
    /// It loads its slice of the model.
    case loading
    /// It has its address and waits for those of the others.
    case waiting
    /// It connects to the others.
    case connecting
    /// It holds its slice and reaches every other member.
    case ready
    /// It lost another member or failed to form: the epoch is over.
    case broken
}

/// One epoch of a group.
package struct GroupEpoch: Codable, Hashable, Sendable {
    package var group: GroupID
    package var epoch: Int64

    package init(group: GroupID, epoch: Int64) {
        self.group = group
        self.epoch = epoch
    }
}

/// How far a member is: a part of its heartbeat.
package struct GroupStanding: Codable, Hashable, Sendable {
    package var group: GroupID
    /// The epoch that it speaks of; what is said of an earlier one counts for nothing.
    package var epoch: Int64
    package var rank: Int
    package var phase: GroupPhase
    /// Where the other members reach it in this epoch.
    package var address: Data?
    /// Why it is broken.
    package var reason: String?
    /// The rank that it does not reach any more.
    package var lostRank: Int?
    /// The class of the pictures that the group makes.
    package var numericClass: String?
    /// What the group computes together, in floating point operations a second.
    package var speed: Double?
    package var figures: GroupFigures?

    package init(group: GroupID, epoch: Int64, rank: Int, phase: GroupPhase) {
        self.group = group
        self.epoch = epoch
        self.rank = rank
        self.phase = phase
    }
}

/// What a member measured since the last heartbeat that was answered; its load, its connection and
/// what the network gives are of the epoch.
package struct GroupFigures: Codable, Hashable, Sendable {
    /// How long its slice took to load.
    package var loadSeconds = 0.0
    /// How long the members took to connect.
    package var connectSeconds = 0.0
    /// How long sums across the ranks took.
    package var reduceSeconds = 0.0
    /// How much was sent for them.
    package var reduceBytes = 0.0
    /// How long it waited for other ranks.
    package var waitSeconds = 0.0
    /// How long the denoise steps took.
    package var stepSeconds = 0.0
    package var steps = 0
    /// How long a small message takes to another rank; nil before it was measured.
    package var latencySeconds: Double?
    /// How much a second goes to another rank; nil before it was measured.
    package var bytesPerSecond: Double?

    package init() {}
}

/// What a member is to be: a part of a heartbeat's answer.
package struct GroupOrder: Codable, Hashable, Sendable {
    package var group: GroupID
    package var name: String
    package var epoch: Int64
    package var rank: Int
    package var size: Int
    /// 32 random bytes, new with each epoch, by which members know each other.
    package var secret: Data
    /// By rank; with addresses of those that told one in this epoch.
    package var members: [GroupMemberAddress]
    /// Whether it is to finish what it holds first.
    package var isReserved: Bool

    package init(
        group: GroupID,
        name: String,
        epoch: Int64,
        rank: Int,
        size: Int,
        secret: Data,
        members: [GroupMemberAddress],
        isReserved: Bool
    ) {
        self.group = group
        self.name = name
        self.epoch = epoch
        self.rank = rank
        self.size = size
        self.secret = secret
        self.members = members
        self.isReserved = isReserved
    }
}

/// Where a member of a group is reached.
package struct GroupMemberAddress: Codable, Hashable, Sendable {
    package var rank: Int
    /// The worker's name.
    package var worker: String
    package var address: Data?

    package init(rank: Int, worker: String, address: Data? = nil) {
        self.rank = rank
        self.worker = worker
        self.address = address
    }
}
