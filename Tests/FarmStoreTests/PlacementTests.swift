import FarmModel
import Foundation
import Testing

@testable import FarmStore

@Suite("Who is next")
struct PlacementTests {
    private static let start = Date(timeIntervalSince1970: 1e9)

    private static let worker = WorkerCapability(
        id: .random(),
        name: "w",
        modelDigest: "m",
        precision: "float32",
        memory: 16 << 30,
        pool: "day",
        tags: ["amx"],
        numericClass: "x"
    )

    private func head(
        _ id: Int64,
        _ owner: String,
        priority: Int = 50,
        change: (inout HeadView) -> Void = { _ in }
    ) -> HeadView {
        var head = HeadView(
            id: id,
            job: .random(),
            owner: owner,
            priority: priority,
            modelDigest: "m",
            servedAt: Self.start,
            taskCost: 1
        )
        change(&head)
        return head
    }

    private func placement(_ heads: [HeadView], _ owners: [String: OwnerView] = [:]) -> Placement {
        Placement(
            view: QueueView(heads: heads, owners: owners, now: Self.start),
            ageBound: .seconds(1800)
        )
    }

    /// Whose tasks are claimed, one after the other, each charged when it was claimed.
    private func owners(
        of count: Int,
        heads: [HeadView],
        weights: [String: Double] = [:],
        charges: [String: Double] = [:]
    ) -> [String] {
        var view = QueueView(heads: heads, now: Self.start)
        for owner in Set(heads.map(\.owner)) {
            view.owners[owner] = OwnerView(
                weight: weights[owner] ?? 1,
                charge: charges[owner] ?? 0
            )
        }
        return (0..<count).compactMap { _ in
            let placement = Placement(view: view, ageBound: .seconds(1800))
            let head = placement.choices(for: Self.worker, wanted: 1).first?.head
            if let head { view.owners[head.owner]?.charge += head.taskCost }
            return head?.owner
        }
    }

    @Test("who comes later with little is served among the next claims")
    func latecomer() {
        let heads = [head(1, "a"), head(2, "b")]
        let order = owners(of: 25, heads: heads, charges: ["a": 500])
        #expect(order.prefix(10) == ["b", "b", "b", "b", "b", "b", "b", "b", "b", "b"])
    }

    @Test("shares follow the weights", arguments: [[1.0, 1, 1], [1, 2, 5], [3, 0.5, 1]])
    func weights(_ weights: [Double]) {
        let names = ["a", "b", "c"]
        let heads = names.enumerated().map { head(Int64($0.offset), $0.element) }
        let order = owners(
            of: 2000,
            heads: heads,
            weights: Dictionary(uniqueKeysWithValues: zip(names, weights))
        )
        for (name, weight) in zip(names, weights) {
            let share = Double(order.count { $0 == name }) / 2000
            #expect(abs(share / (weight / weights.reduce(0, +)) - 1) < 0.05)
        }
    }

    @Test("an owner's heads go by priority, then by age; what is lifted goes before owners")
    func order() {
        let placement = placement(
            [
                head(1, "a", priority: 10), head(2, "a", priority: 90), head(3, "a", priority: 90),
                head(4, "b", priority: 0) { $0.isLifted = true }, head(5, "b", priority: 100),
            ],
            ["a": OwnerView(weight: 1, charge: 1), "b": OwnerView(weight: 1, charge: 2)]
        )
        let choices = placement.choices(for: Self.worker, wanted: 1)
        #expect(choices.map(\.head.id) == [4, 2, 3, 1, 5])
    }

    @Test("what was not served for longer than the bound goes first, once")
    func ageBound() {
        let old = head(1, "a", priority: 0) { $0.servedAt = Self.start.addingTimeInterval(-1801) }
        let older = head(2, "a", priority: 0) { $0.servedAt = Self.start.addingTimeInterval(-1900) }
        let placement = placement(
            [old, older, head(3, "b", priority: 100)],
            ["a": OwnerView(weight: 1, charge: 1e6)]
        )
        let choices = placement.choices(for: Self.worker, wanted: 4)
        #expect(choices.map(\.head.id) == [2, 1, 3])
        #expect(choices.map(\.count) == [1, 1, 2])
    }

    @Test("the farm's own audits have their share, and go before nobody for their age")
    func audits() {
        let copy = head(1, FarmOwner.audits) { $0.servedAt = Self.start.addingTimeInterval(-9000) }
        let placement = placement(
            [copy, head(2, "a")],
            [FarmOwner.audits: OwnerView(weight: 0.02, charge: 1), "a": OwnerView(charge: 49)]
        )
        let choices = placement.choices(for: Self.worker, wanted: 3)
        #expect(choices.map(\.head.id) == [2, 1])
        #expect(choices.map(\.count) == [2, 1])
    }

    @Test("in a day of claims no head that could run goes unserved for longer than the bound")
    func longestWait() throws {
        // Forty jobs of four owners, some of a heavy weight and some at the lowest priority; a
        // claim each ten seconds.
        let (period, bound) = (10.0, 1800.0)
        var view = QueueView(now: Self.start)
        for id in 0..<40 {
            let owner = "owner \(id % 4)"
            view.owners[owner] = OwnerView(weight: id % 4 == 0 ? 100 : 1, charge: 0)
            view.heads.append(head(Int64(id), owner, priority: id % 7 == 0 ? 100 : id))
        }
        var longest = 0.0
        for _ in 0..<8640 {
            view.now += period
            let placement = Placement(view: view, ageBound: .seconds(bound))
            let chosen = try #require(
                placement.choices(for: Self.worker, wanted: 1).first?.head
            )
            let place = try #require(view.heads.firstIndex { $0.id == chosen.id })
            longest = max(longest, view.now.timeIntervalSince(chosen.servedAt))
            view.heads[place].servedAt = view.now
            view.owners[chosen.owner]?.charge += chosen.taskCost
        }
        let left = view.heads.map { view.now.timeIntervalSince($0.servedAt) }.max() ?? 0
        // Those that are overdue together are served one claim after the other.
        #expect(max(longest, left) <= bound + period * Double(view.heads.count))
        #expect(longest > bound)
    }

    @Test("the tasks of one claim are dealt as if each were claimed alone")
    func batch() {
        let heads = [head(1, "a"), head(2, "b"), head(3, "c")]
        let choices = placement(heads).choices(for: Self.worker, wanted: 7)
        #expect(choices.map(\.head.owner) == ["a", "b", "c"])
        #expect(choices.map(\.count) == [3, 2, 2])
    }

    @Test("claims of one moment that differ in what they can run are dealt one after the other")
    func gathered() {
        let heads = [head(1, "a"), head(2, "b"), head(3, "c") { $0.requirement.tags = ["big"] }]
        var large = Self.worker
        large.tags = ["amx", "big"]
        let choices = placement(heads).choices(for: [
            (Self.worker, 1, []), (Self.worker, 1, []), (large, 1, []), (Self.worker, 4, []),
        ])
        // What is dealt to each: heads behind only stand in where these are empty.
        #expect(choices.map { $0.first?.head.owner } == ["a", "b", "c", "a"])
        #expect(choices[3].prefix(2).map(\.count) == [2, 2])
        #expect(placement(heads).choices(for: []).isEmpty)
    }

    @Test("of heads that an owner put side by side the warm go first, and none is left out")
    func warmth() {
        let heads = [
            head(1, "a"), head(2, "a"), head(3, "a"), head(4, "a", priority: 60), head(5, "b"),
            head(6, "b") { $0.isLifted = true }, head(7, "a") { $0.isLifted = true },
            head(8, "c") { $0.requirement.tags = ["big"] },
        ]
        let placement = placement(heads, ["b": OwnerView(weight: 1, charge: 1)])
        func order(_ warm: Int...) -> [Int64] {
            let jobs = Set(warm.map { heads[$0 - 1].job })
            return placement.choices(for: Self.worker, wanted: 1, warm: jobs).map(\.head.id)
        }
        #expect(order() == [6, 7, 4, 1, 2, 3, 5])
        #expect(order(3) == [6, 7, 4, 3, 1, 2, 5])
        #expect(order(2, 3) == [6, 7, 4, 2, 3, 1, 5])
        // Neither a lift, nor another owner's turn, nor what cannot run.
        #expect(order(5, 7, 8) == [7, 6, 4, 1, 2, 3, 5])
        #expect(
            Placement.rivals(in: placement.view) == Set([1, 2, 3, 6, 7].map { heads[$0 - 1].job })
        )
        #expect(Placement.rivals(in: QueueView(heads: [heads[0], heads[3], heads[4]])).isEmpty)
    }

    @Test("a head that a worker cannot run says why, and is not chosen")
    func exclusions() {
        for (reason, other) in excluded {
            let placement = placement([other, head(2, "a")])
            #expect(placement.view.exclusion(of: other, for: Self.worker) == reason)
            #expect(placement.choices(for: Self.worker, wanted: 1).map(\.head.id) == [2])
        }
    }

    /// Heads that the worker cannot run, with what keeps it from them.
    private var excluded: [(WaitingReason, HeadView)] {
        [
            (.noWorker, head(1, "a") { $0.modelDigest = "other" }),
            (.noWorker, head(1, "a") { $0.requirement.pool = "night" }),
            (.noWorker, head(1, "a") { $0.requirement.tags = ["amx", "big"] }),
            (.noWorker, head(1, "a") { $0.numericClass = "y" }),
            (.noPrecision, head(1, "a") { $0.requirement.precision = "int8" }),
            (.noMemory, head(1, "a") { $0.requirement.memoryBytes = 17 << 30 }),
            (.noGroup, head(1, "a") { $0.requirement.groupSize = 2 }),
            (
                .limit,
                head(1, "a") {
                    $0.maxWorkers = 1
                    $0.workersAtIt = [.random()]
                }
            ),
        ]
    }

    @Test("why a task waits is what keeps every worker from claiming it")
    func diagnosis() {
        func reason(
            _ head: HeadView,
            _ change: (inout QueueView) -> Void = { _ in }
        ) -> WaitingReason {
            var view = QueueView(workers: [Self.worker.id: Self.worker])
            change(&view)
            let waiting = WaitingHead(head: head, modelName: "m", dependencies: [], ready: 1)
            let cause = WaitingDiagnosis(view: view, heads: [waiting]).cause(of: waiting)
            #expect((view.exclusion(of: head, for: Self.worker) ?? .behind) == cause.reason)
            return cause.reason
        }
        for (expected, head) in excluded { #expect(reason(head) == expected) }
        let free = head(1, "a")
        #expect(reason(free) == .behind)
        #expect(reason(free) { $0.isFarmPaused = true } == .poolPaused)
        #expect(reason(free) { $0.pausedPools = ["day"] } == .poolPaused)
        #expect(reason(free) { $0.pausedPools = ["night"] } == .behind)
        #expect(
            reason(free) { $0.blocks = [WorkerBlock(job: free.job, worker: "w")] } == .noWorker
        )
        // Of several workers the one that lacks the least is named.
        let wide = head(1, "a") { $0.requirement.memoryBytes = 17 << 30 }
        #expect(
            reason(wide) { view in
                var other = Self.worker
                (other.id, other.pool, other.modelDigest) = (.random(), "night", "other")
                view.workers[other.id] = other
            } == .noMemory
        )
    }

    @Test("a worker that is at a job may take more of it, whatever its limit")
    func ownLimit() {
        let head = head(1, "a") {
            $0.maxWorkers = 1
            $0.workersAtIt = [Self.worker.id]
        }
        #expect(placement([head]).view.exclusion(of: head, for: Self.worker) == nil)
    }

    @Test("a pause of the farm or the pool, and a block, exclude")
    func pauses() {
        let head = head(1, "a")
        var view = QueueView(heads: [head], now: Self.start)
        view.isFarmPaused = true
        #expect(reason(view, head) == .poolPaused)
        view.isFarmPaused = false
        view.pausedPools = ["day"]
        #expect(reason(view, head) == .poolPaused)
        view.pausedPools = ["night"]
        view.blocks = [WorkerBlock(job: head.job, worker: "w")]
        #expect(reason(view, head) == .noWorker)
    }

    private func reason(_ view: QueueView, _ head: HeadView) -> WaitingReason? {
        view.exclusion(of: head, for: Self.worker)
    }
}
