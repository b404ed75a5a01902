import FarmModel
import FoundationEssentials
import Synchronization
import Testing

@testable import FarmWorker

/// Workers that a coordinator seats in a group, with the engine and a tiny model.
@Suite(.timeLimit(.minutes(10))) struct GroupMembershipTests {
    /// One group as a coordinator keeps it: its epoch, and what its members say.
    private final class Group: Sendable {
        private struct State {
            var epoch: Int64 = 1
            var isReserved = false
            var standings: [Int: GroupStanding] = [:]
            var ends: [GroupStanding] = []
        }

        let id = GroupID.random()
        let size: Int
        private let state = Mutex(State())

        init(size: Int) {
            self.size = size
        }

        /// What members said that ended epochs.
        var ends: [GroupStanding] { state.withLock { $0.ends } }
        var epoch: Int64 { state.withLock { $0.epoch } }

        /// Seats a worker for good.
        func seat(_ rank: Int, _ farm: FakeCoordinator) {
            farm.seat { [self] in order(rank, $0.group) }
        }

        private func order(_ rank: Int, _ standing: GroupStanding?) -> GroupOrder {
            state.withLock { state in
                if let standing, standing.epoch == state.epoch {
                    state.standings[rank] = standing
                    if standing.phase == .broken {
                        state.ends.append(standing)
                        state.epoch += 1
                        state.standings = [:]
                    }
                }
                return GroupOrder(
                    group: id,
                    name: "pair",
                    epoch: state.epoch,
                    rank: rank,
                    size: size,
                    secret: Data("secret of epoch \(state.epoch)".utf8),
                    members: (0..<size).map {
                        GroupMemberAddress(
                            rank: $0,
                            worker: "member-\($0)",
                            address: state.standings[$0]?.address
                        )
                    },
                    isReserved: state.isReserved
                )
            }
        }

        /// Lets members wait until their seats may be taken, or take them.
        func reserve(_ isReserved: Bool) {
            state.withLock { $0.isReserved = isReserved }
        }

        func phase(of rank: Int) -> GroupPhase? {
            state.withLock { $0.standings[rank]?.phase }
        }

        var isReady: Bool {
            state.withLock { state in
                (0..<size).allSatisfy { state.standings[$0]?.phase == .ready }
            }
        }

        func formed() async throws {
            while !isReady { try await Task.sleep(for: .milliseconds(20)) }
        }

        /// The class that the leader told.
        var numericClass: String? { state.withLock { $0.standings[0]?.numericClass } }
    }

    /// A group of two, each of whose members has a coordinator of its own.
    private static func seated() -> (Group, [FakeCoordinator]) {
        let group = Group(size: 2)
        let farms = [FakeCoordinator(), FakeCoordinator()]
        for (rank, farm) in farms.enumerated() { group.seat(rank, farm) }
        return (group, farms)
    }

    /// A member of the group, in a folder of its own.
    private static func member(
        _ farm: FakeCoordinator,
        _ folder: String,
        offer: GroupOffer = GroupOffer(name: "pair", size: 2)
    ) async throws -> WorkerService {
        let renderer = try await GroupRenderer(
            EngineWorkerTests.configuration,
            log: { _ in }
        )
        var configuration = WorkerConfiguration(name: "tiny", dataFolder: folder)
        configuration.group = try await renderer.prepare(
            try GroupSettings(
                offer: offer,
                listen: "127.0.0.1",
                coordinator: "http://127.0.0.1:8470"
            ),
            memory: 0
        )
        configuration.drain = .release
        return WorkerService(
            calls: farm,
            renderer: renderer,
            configuration: configuration,
            logger: .quiet
        )
    }

    @Test("members read their parts, connect, and render; the next epoch gives the same bytes")
    func epochs() async throws {
        let (group, farms) = Self.seated()
        try await Bench.withFolder { folder in
            let leader = try await Self.member(farms[0], "\(folder)/0")
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { try await leader.run() }
                let first = Task {
                    try await Self.member(farms[1], "\(folder)/1").run()
                }
                try await group.formed()
                #expect(group.numericClass?.hasSuffix("/tp2") == true)
                farms[0].lay(try EngineWorkerTests.task(farms[0]))
                try await farms[0].journal.wait(for: "deliver 0")
                let picture = try #require(farms[0].pictures[0])

                // the other rank goes, and comes again as another process
                first.cancel()
                _ = await first.result
                while group.epoch == 1 { try await Task.sleep(for: .milliseconds(20)) }
                #expect(group.ends.first?.rank == 0)
                #expect(group.ends.first?.lostRank == 1)
                let second = Task {
                    try await Self.member(farms[1], "\(folder)/2").run()
                }
                try await group.formed()
                farms[0].lay(try EngineWorkerTests.task(farms[0]))
                try await farms[0].journal.wait(for: "deliver 0", count: 2)
                #expect(farms[0].pictures[0] == picture)
                leader.drain()
                try await tasks.waitForAll()
                second.cancel()
                _ = await second.result
            }
        }
        #expect(farms[1].registrations.allSatisfy { !$0.rendersAlone && $0.group?.size == 2 })
        let memory = try #require(farms[0].registrations.first?.modelMemory)
        #expect(memory.needed(ranks: 2) < memory.needed(ranks: 1))
    }

    @Test("a task whose group loses a member is given back, and counts as no failure")
    func lostMember() async throws {
        let (group, farms) = Self.seated()
        try await Bench.withFolder { folder in
            let leader = try await Self.member(farms[0], "\(folder)/0")
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { try await leader.run() }
                let other = Task {
                    try await Self.member(farms[1], "\(folder)/1").run()
                }
                try await group.formed()
                // the references come once the other rank is gone
                farms[0].hold("download")
                farms[0].lay(try EngineWorkerTests.task(farms[0]))
                try await farms[0].journal.wait(for: "hold download")
                other.cancel()
                _ = await other.result
                farms[0].letGo("download")
                while farms[0].releases.isEmpty { try await Task.sleep(for: .milliseconds(20)) }
                #expect(farms[0].releases.map(\.reason) == [.groupLost])
                #expect(farms[0].failures.isEmpty)
                leader.drain()
                try await tasks.waitForAll()
            }
        }
    }

    @Test("what was claimed before a seat was taken is given back, and keeps no one from claiming")
    func lateAnswer() async throws {
        let (group, farms) = Self.seated()
        group.reserve(true)
        try await Bench.withFolder { folder in
            let leader = try await Self.member(farms[0], "\(folder)/0")
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                // it asks before it knows of its seat
                farms[0].hold("heartbeat")
                farms[0].hold("claim answer")
                farms[0].lay(try EngineWorkerTests.task(farms[0]))
                tasks.addTask { try await leader.run() }
                try await farms[0].journal.wait(for: "claim 0")
                farms[0].letGo("heartbeat")
                while group.phase(of: 0) == nil { try await Task.sleep(for: .milliseconds(20)) }
                group.reserve(false)
                let other = Task {
                    try await Self.member(farms[1], "\(folder)/1").run()
                }
                try await group.formed()
                farms[0].letGo("claim answer")
                while farms[0].releases.isEmpty { try await Task.sleep(for: .milliseconds(20)) }
                #expect(farms[0].releases.map(\.reason) == [.notBegun])
                farms[0].lay(try EngineWorkerTests.task(farms[0]))
                try await farms[0].journal.wait(for: "deliver 0")
                #expect(farms[0].claims.last?.lead?.epoch == 1)
                leader.drain()
                try await tasks.waitForAll()
                other.cancel()
                _ = await other.result
            }
        }
    }

    @Test("an interruption that comes once the next seat is taken ends when the group is ready")
    func lateInterruption() async throws {
        let seat = GroupSeat()
        let order = GroupOrder(
            group: .random(),
            name: "pair",
            epoch: 2,
            rank: 0,
            size: 2,
            secret: Data(),
            members: [],
            isReserved: false
        )
        seat.follow(order)
        seat.sit(GroupSeat.Seat(order))
        // the task of the epoch before comes to its end
        seat.interrupt()
        seat.say(.loading)
        seat.say(.ready)
        let lead = GroupEpoch(group: order.group, epoch: 2)
        #expect(try await seat.mayClaim() == .leader(lead))
        #expect(seat.isStill(.leader(lead)) && !seat.isStill(.alone))
        seat.say(.broken)
        #expect(!seat.isStill(.leader(lead)))
    }

    @Test("a reserved worker renders what it is given, and takes its seat once that is done")
    func filling() async throws {
        let (group, farms) = Self.seated()
        group.reserve(true)
        try await Bench.withFolder { folder in
            let leader = try await Self.member(farms[0], "\(folder)/0", offer: GroupOffer())
            let other = try await Self.member(farms[1], "\(folder)/1", offer: GroupOffer())
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { try await leader.run() }
                tasks.addTask { try await other.run() }
                while group.phase(of: 0) == nil { try await Task.sleep(for: .milliseconds(20)) }
                farms[0].hold("deliver")
                farms[0].lay(try EngineWorkerTests.task(farms[0]))
                try await farms[0].journal.wait(for: "hold deliver")
                // the seat may be taken now, and what was given is still to be delivered
                group.reserve(false)
                while group.phase(of: 1) != .waiting {
                    try await Task.sleep(for: .milliseconds(20))
                }
                #expect(group.phase(of: 0) == .reserved)
                farms[0].letGo("deliver")
                try await group.formed()
                #expect(farms[0].pictures.count == 1 && farms[0].releases.isEmpty)
                leader.drain()
                other.drain()
                try await tasks.waitForAll()
            }
        }
    }
}
