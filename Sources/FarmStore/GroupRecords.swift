package import FarmModel
package import FoundationEssentials
import Postgres

extension GroupID: PostgresValue {}
extension GroupState: PostgresValue {}
extension GroupPhase: PostgresValue {}
extension GroupOrigin: PostgresValue {}

/// A group as it stands.
package struct GroupRecord: Sendable, Hashable, Identifiable {
    package let id: GroupID
    package let name: String
    package let state: GroupState
    package let origin: GroupOrigin
    package let pool: String
    package let modelName: String
    package let modelDigest: String
    package let precision: String
    /// Of which class each member is alone.
    let memberClass: String
    /// How many members it has.
    package let size: Int
    /// How many were asked for.
    package let wantedSize: Int
    package let epoch: Int64
    /// The class of its pictures; empty before it is ready.
    package let numericClass: String
    /// Floating point operations a second; 0 before anything was measured.
    package let speed: Double
    package let createdAt: Date
    package let formedAt: Date?
    package let formationSeconds: Double?
    package let expiresAt: Date?
    /// For how long it has lacked members that no spare replaces; nil where it does not.
    let lackingSeconds: Double?
    /// Why its last epoch ended, or the group.
    package let reason: String?
    /// By rank.
    package let members: [GroupMemberRecord]

    init(_ row: Row, members: [GroupID: [GroupMemberRecord]]) throws {
        id = try row.decode("id")
        name = try row.decode("name")
        state = try row.decode("state")
        origin = try row.decode("origin")
        pool = try row.decode("pool")
        modelName = try row.decode("model_name")
        modelDigest = try row.decode("model_digest")
        precision = try row.decode("precision")
        memberClass = try row.decode("member_class")
        size = try row.decode("size")
        wantedSize = try row.decode("wanted_size")
        epoch = try row.decode("epoch")
        numericClass = try row.decode("numeric_class")
        speed = try row.decode("speed")
        createdAt = try row.decode("created_at")
        formedAt = try row.decodeIfPresent("formed_at")
        formationSeconds = try row.decodeIfPresent("formation_seconds")
        expiresAt = try row.decodeIfPresent("expires_at")
        lackingSeconds = try row.decodeIfPresent("lacking_seconds")
        reason = try row.decodeIfPresent("reason")
        self.members = members[id] ?? []
    }

    /// The worker that claims for it.
    package var leader: GroupMemberRecord? { members.first }

    /// The members that are not there, or may not take part.
    var unfit: [GroupMemberRecord] { members.filter { !$0.isFit } }
}

/// A worker's seat in a group.
package struct GroupMemberRecord: Sendable, Hashable {
    package let rank: Int
    package let worker: WorkerID
    package let name: String
    package let phase: GroupPhase
    /// Whether it is there and may take part.
    package let isFit: Bool
    /// Whether its process has another model, precision, class or pool by now, or joins no groups.
    let isAlien: Bool
    /// Whether it only takes nothing new: it finishes what it holds.
    let isLeaving: Bool
    /// Whether it broke off so often that it takes no part for a while.
    let isResting: Bool
    /// Whether another member does not reach it, and nothing was heard of it since.
    let isMissed: Bool
    /// How many tasks it holds.
    let leases: Int
    let tags: Set<String>
    let memory: Int64
    package let lastSeenAt: Date
    /// What it measured, as JSON.
    package let figures: String?

    init(_ row: Row) throws {
        rank = try row.decode("group_rank")
        worker = try row.decode("id")
        name = try row.decode("name")
        phase = try row.decode("group_phase")
        isFit = try row.decode("is_fit")
        isAlien = try row.decode("is_alien")
        isLeaving = try row.decode("is_leaving")
        isResting = try row.decode("is_resting")
        isMissed = try row.decode("is_missed")
        leases = try row.decode("leases")
        tags = Set(try row.decode("tags", as: [String].self))
        memory = try row.decode("memory_bytes")
        lastSeenAt = try row.decode("last_seen_at")
        figures = try row.decodeIfPresent("figures")
    }
}

/// A group that a person asks for.
package struct GroupWish: Sendable, Hashable {
    package var size: Int?
    package var modelDigest: String?
    package var precision: String?
    package var pool: String?
    /// Its members, the first is rank 0; empty is any.
    package var workers: [WorkerID] = []
    package var name: String?

    package init() {}
}

/// What became of the wish for a group.
package enum FormOutcome: Sendable, Hashable {
    case formed(GroupRecord)
    /// It cannot be made, and why in words.
    case refused(String)
}

/// What one run of the groups duty did.
package struct GroupReport: Sendable, Hashable {
    package var formed = 0
    /// Jobs that ask for a group from now on, or for none any more.
    package var grouped = 0
    /// Epochs that ended because a member was gone.
    package var renewed = 0
    /// Groups that go on with fewer members.
    package var shrunk = 0
    package var dissolved = 0

    package init() {}
}
