import FarmModel
import FarmStore
import Foundation
import Postgres
import Testing

/// A farm with workers that join groups, each of which says in heartbeats what a test wants.
struct GroupScene {
    let farm: Farm
    private(set) var members: [SimulatedMember] = []

    var store: FarmStore { farm.store }

    /// A farm with so many workers, named `a`, `b` and so on.
    init(
        workers count: Int,
        change: (inout FarmStoreConfiguration) -> Void = { _ in }
    ) async throws {
        farm = try await Farm(change)
        for name in "abcdefgh".prefix(count) { try await add(String(name)) }
    }

    @discardableResult
    mutating func add(
        _ name: String,
        _ change: (inout WorkerRegistration) -> Void = { _ in }
    ) async throws -> SimulatedMember {
        let member = try await SimulatedMember.register(name, at: farm, change)
        members.append(member)
        return member
    }

    func member(_ name: String) throws -> SimulatedMember {
        try #require(members.first { $0.name == name })
    }

    /// The only group that is not over.
    func group() async throws -> GroupRecord {
        let groups = try await store.groups()
        #expect(groups.count == 1)
        return try #require(groups.first)
    }

    /// Lets all workers say what they are ordered to until the group is ready.
    func form(_ names: [String]? = nil) async throws {
        let forming = members.filter { names?.contains($0.name) ?? true }
        for phase in [GroupPhase.loading, .waiting, .connecting, .ready] {
            for member in forming { _ = try await member.say(phase) }
        }
    }

    /// Lets a worker fall silent.
    func lose(_ name: String) async throws {
        try await farm.pool.execute(
            """
            UPDATE worker SET state = 'lost', last_seen_at = now() - interval '1 h'
            WHERE name = \(name)
            """
        )
    }

    func seats() async throws -> [String] { try await group().members.map(\.name) }

    /// A job of tasks for a group.
    func job(
        group size: Int,
        tasks: Int = 1,
        change: (inout JobSubmission) -> Void = { _ in }
    ) async throws -> JobID {
        try await farm.job(tasks: tasks) {
            $0.requirement.groupSize = size
            change(&$0)
        }
    }

    /// What a worker's claim is answered with.
    func claim(_ name: String) async throws -> ClaimOutcome {
        let lead = try await lead(name)
        store.queueChanged()
        return try await store.claimTasks(worker: try member(name).id, limit: 1, lead: lead)
    }

    /// The group that a worker leads, as it knows it by its last heartbeat.
    func lead(_ name: String) async throws -> GroupEpoch? {
        let id = try member(name).id
        return try await store.groups()
            .first { $0.leader?.worker == id && [.ready, .busy].contains($0.state) }
            .map { GroupEpoch(group: $0.id, epoch: $0.epoch) }
    }

    func claimed(_ name: String) async throws -> ClaimedTask {
        guard case .tasks(let tasks) = try await claim(name) else {
            throw Farm.Unexpected(what: "nothing was claimed")
        }
        return try #require(tasks.first)
    }
}

/// A worker as far as groups see it: it does what it is told at once, and computes nothing.
struct SimulatedMember {
    let farm: Farm
    let name: String
    let id: WorkerID
    let epoch: Int64

    static func register(
        _ name: String,
        at farm: Farm,
        _ change: (inout WorkerRegistration) -> Void = { _ in }
    ) async throws -> SimulatedMember {
        var registration = WorkerRegistration(
            name: name,
            modelName: "flux",
            modelDigest: "model-digest",
            precision: "int8"
        )
        registration.instance = "process of \(name)"
        registration.numericClass = "alone"
        registration.speed = 1e12
        registration.costConstants = try FarmJSON.text(CostConstants.flux)
        registration.group = GroupOffer()
        change(&registration)
        let worker = try await farm.store.registerWorker(registration)
        return SimulatedMember(farm: farm, name: name, id: worker.id, epoch: worker.epoch)
    }

    /// A heartbeat that says nothing of a group.
    @discardableResult
    func beat(
        _ standing: GroupStanding? = nil,
        running: [AttemptProgress] = []
    ) async throws -> HeartbeatRecord {
        var beat = HeartbeatRequest(epoch: epoch, running: running)
        beat.group = standing
        guard case .answer(let record) = try await farm.store.heartbeat(worker: id, beat) else {
            throw Farm.Unexpected(what: "the worker is unknown")
        }
        return record
    }

    func order() async throws -> GroupOrder? { try await beat().group }

    /// Says a phase of the epoch that the farm orders; nothing where it orders none.
    @discardableResult
    func say(
        _ phase: GroupPhase,
        _ change: (inout GroupStanding) -> Void = { _ in }
    ) async throws -> GroupOrder? {
        guard let order = try await order() else { return nil }
        var standing = GroupStanding(
            group: order.group,
            epoch: order.epoch,
            rank: order.rank,
            phase: phase
        )
        if phase == .waiting { standing.address = Data([UInt8(order.rank), 0, 255]) }
        if order.rank == 0 {
            standing.numericClass = "alone/tp\(order.size)"
            standing.speed = 3e12
        }
        change(&standing)
        return try await beat(standing).group
    }
}
