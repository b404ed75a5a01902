import FarmModel
import Foundation
import Testing

@testable import FarmStore

@Suite("What takes the place of what")
struct PreemptionTests {
    private static let start = Date(timeIntervalSince1970: 1e9)

    /// A fleet of a test, with what it holds and what waits.
    private struct Fleet {
        var preemption = Preemption(
            view: QueueView(now: PreemptionTests.start),
            loads: [],
            waiting: [],
            rules: PreemptionRules(noticeSeconds: 15)
        )
        var names: [WorkerID: String] = [:]

        @discardableResult
        mutating func worker(
            _ name: String,
            memory: Int64 = 16 << 30,
            change: (inout WorkerCapability) -> Void = { _ in }
        ) -> WorkerID {
            var worker = WorkerCapability(
                id: .random(),
                name: name,
                modelDigest: "m",
                precision: "int8",
                memory: memory,
                pool: "day",
                tags: [],
                numericClass: "x"
            )
            change(&worker)
            preemption.view.workers[worker.id] = worker
            names[worker.id] = name
            return worker.id
        }

        /// A worker that renders something: as `owner` and `priority` say, a step a second, a minute of it
        /// left, begun two minutes ago.
        mutating func busy(
            _ name: String,
            _ priority: Int = 10,
            owner: String = "ann",
            memory: Int64 = 16 << 30,
            ahead: [HeldTask] = [],
            running: (inout HeldTask) -> Void = { _ in },
            capability: (inout WorkerCapability) -> Void = { _ in },
            load change: (inout WorkerLoad) -> Void = { _ in }
        ) {
            let id = worker(name, memory: memory, change: capability)
            var task = PreemptionTests.held(priority, owner: owner)
            task.ageSeconds = 120
            task.restSeconds = 60
            task.stepSeconds = 1
            running(&task)
            var load = WorkerLoad(worker: id, running: task, ahead: ahead)
            change(&load)
            preemption.loads.append(load)
        }

        /// So many tasks that wait in a job.
        mutating func waits(
            _ priority: Int = 90,
            owner: String = "ann",
            tasks: Int = 1,
            avoid: Set<String> = [],
            head change: (inout HeadView) -> Void = { _ in }
        ) {
            var head = HeadView(
                id: Int64(preemption.view.heads.count + 1),
                job: .random(),
                owner: owner,
                priority: priority,
                modelDigest: "m",
                servedAt: PreemptionTests.start,
                taskCost: 1
            )
            change(&head)
            preemption.view.heads.append(head)
            for number in 0..<tasks {
                preemption.waiting.append(
                    WaitingTask(task: .random(), head: head, number: number, avoid: avoid)
                )
            }
        }

        /// The workers whose tasks are parked, and those that are only promised something, in any order.
        var outcome: (parked: Set<String>, next: Set<String>) {
            let decisions = preemption.decisions()
            func names(_ decisions: [PreemptionDecision]) -> Set<String> {
                Set(decisions.compactMap { self.names[$0.worker] })
            }
            return (
                names(decisions.filter { $0.victim != nil }),
                names(decisions.filter { $0.victim == nil })
            )
        }
    }

    private static func held(_ priority: Int, owner: String = "ann") -> HeldTask {
        HeldTask(
            task: .random(),
            attempt: .random(),
            standing: Standing(owner: owner, priority: priority)
        )
    }

    // MARK: - Bands

    @Test(
        "a higher band of the same owner takes a place, an equal one never",
        arguments: [
            (0, 24, false), (0, 25, true), (24, 25, true), (25, 74, false), (50, 74, false),
            (50, 75, true), (74, 100, true), (75, 100, false), (90, 10, false), (50, 24, false),
        ]
    )
    func bands(_ low: Int, _ high: Int, _ takes: Bool) {
        var fleet = Fleet()
        fleet.busy("a", low)
        fleet.waits(high)
        #expect(fleet.outcome.parked == (takes ? ["a"] : []))
    }

    @Test(
        "between owners priority decides nothing, lifting does, and what is lifted keeps its place"
    )
    func owners() {
        var fleet = Fleet()
        fleet.busy("a", 0, owner: "ann")
        fleet.waits(100, owner: "bob")
        #expect(fleet.outcome.parked == [])
        fleet.waits(0, owner: "bob") { $0.isLifted = true }
        #expect(fleet.outcome.parked == ["a"])
        var lifted = Fleet()
        lifted.busy("a", 0) { $0.standing.isLifted = true }
        lifted.waits(100)
        lifted.waits(100) { $0.isLifted = true }
        #expect(lifted.outcome.parked == [])
    }

    // MARK: - The victim

    @Test("the victim is what would lose least, in seconds and not in steps")
    func leastLoss() {
        var fleet = Fleet()
        // thirty steps of a tenth of a second, three of two seconds, one of twenty
        fleet.busy("many small steps") {
            $0.stepSeconds = 0.1
            $0.unsavedSteps = 30
        }
        fleet.busy("few long steps") {
            $0.stepSeconds = 2
            $0.unsavedSteps = 2
        }
        fleet.busy("one very long step") {
            $0.stepSeconds = 20
            $0.restSeconds = 600
        }
        fleet.waits()
        #expect(fleet.outcome.parked == ["many small steps"])
        fleet.waits()
        #expect(fleet.outcome.parked == ["many small steps", "few long steps"])
    }

    @Test("of two that would lose the same the lower band is parked")
    func lowerBand() {
        var fleet = Fleet()
        fleet.busy("normal", 50)
        fleet.busy("low", 10)
        fleet.waits()
        #expect(fleet.outcome.parked == ["low"])
    }

    @Test("a group's work counts for each of its members, and it is a place for what it renders")
    func groups() {
        var fleet = Fleet()
        fleet.busy(
            "leader",
            capability: {
                $0.groupSize = 2
                $0.wantedSize = 2
                $0.servesSingles = true
            }
        )
        fleet.busy("alone") { $0.unsavedSteps = 0 }
        fleet.busy("member", capability: { $0.groupSize = 0 })
        fleet.waits()
        #expect(fleet.outcome.parked == ["alone"])
        fleet.waits { $0.requirement.groupSize = 2 }
        #expect(fleet.outcome.parked == ["alone", "leader"])
    }

    @Test("only a worker that can run the waiting task is a place for it")
    func fit() {
        var fleet = Fleet()
        fleet.busy("other model", capability: { $0.modelDigest = "other" })
        fleet.busy("other class", capability: { $0.numericClass = "y" })
        fleet.busy("small", memory: 1 << 30)
        fleet.busy("other pool", capability: { $0.pool = "night" })
        fleet.busy("untagged")
        fleet.busy("draining", capability: { $0.refusal = .draining })
        fleet.busy("failed it", capability: { $0.tags = ["amx"] })
        fleet.busy(
            "promised",
            capability: {
                $0.tags = ["amx"]
                $0.promise = TaskPromise(task: .random(), head: 7, number: 0)
            }
        )
        func wait(_ fleet: inout Fleet) {
            fleet.waits(avoid: ["failed it"]) {
                $0.requirement.memoryBytes = 8 << 30
                $0.requirement.tags = ["amx"]
                $0.requirement.pool = "day"
                $0.numericClass = "x"
            }
        }
        wait(&fleet)
        #expect(fleet.outcome.parked == [])
        fleet.busy(
            "fit",
            running: { $0.unsavedSteps = 1000 },
            capability: { $0.tags = ["amx"] }
        )
        #expect(fleet.outcome.parked == ["fit"])
    }

    @Test("a limit of workers holds for places, too")
    func limit() {
        var fleet = Fleet()
        for name in ["a", "b", "c"] { fleet.busy(name) }
        fleet.waits(tasks: 3) { $0.maxWorkers = 2 }
        #expect(fleet.outcome.parked.count == 2)
    }

    // MARK: - Bounds

    @Test("what renders for less than the quantum, or was parked twice, is not parked")
    func bounds() {
        var fleet = Fleet()
        fleet.busy("young") { $0.ageSeconds = 59 }
        fleet.busy("worn") { $0.parks = 2 }
        fleet.busy("old release", load: { $0.parks = false })
        fleet.busy("silent", load: { $0.isHeard = false })
        fleet.busy("ordered", load: { $0.isOrdered = true })
        fleet.busy("unknown speed") { $0.stepSeconds = nil }
        fleet.waits(tasks: 9)
        #expect(fleet.outcome.parked == [])
        fleet.busy("right") { $0.ageSeconds = 60 }
        #expect(fleet.outcome.parked == ["right"])
    }

    @Test(
        "no more is parked than waits, and nothing where a fitting worker is idle",
        arguments: 0...3
    )
    func churn(_ tasks: Int) {
        var fleet = Fleet()
        for name in ["a", "b", "c", "d", "e"] { fleet.busy(name) }
        if tasks > 0 { fleet.waits(tasks: tasks) }
        #expect(fleet.outcome.parked.count == tasks)
        fleet.worker("idle")
        #expect(fleet.outcome.parked.count == max(0, tasks - 1))
    }

    @Test("an idle worker that cannot run it keeps nobody from a place")
    func idleAndUnfit() {
        var fleet = Fleet()
        fleet.busy("a")
        fleet.worker("idle", memory: 1 << 20)
        fleet.waits { $0.requirement.memoryBytes = 8 << 30 }
        #expect(fleet.outcome.parked == ["a"])
    }

    @Test("what ends before a park would pay is waited for, whatever its band")
    func soonFree() {
        var fleet = Fleet()
        fleet.busy("soon", 90, ahead: [Self.held(10)]) { $0.restSeconds = 16.9 }
        fleet.busy("long")
        fleet.waits()
        #expect(fleet.outcome.parked == [])
        #expect(fleet.outcome.next == ["soon"])
        fleet.waits()
        #expect(fleet.outcome.parked == ["long"])
        #expect(fleet.outcome.next == ["soon"])
    }

    @Test("a worker whose next task is as urgent has no place")
    func ahead() {
        var fleet = Fleet()
        fleet.busy("a", 50, ahead: [Self.held(80)], running: { $0.ageSeconds = 0 })
        fleet.waits()
        #expect(fleet.outcome.parked == [])
    }

    @Test("what a worker holds ahead takes the place of what it renders, without a promise")
    func heldAhead() throws {
        var fleet = Fleet()
        let next = Self.held(90)
        fleet.busy("a", ahead: [next])
        let decision = try #require(fleet.preemption.decisions().first)
        #expect(decision.task == next.task)
        #expect(decision.promise == nil && decision.victim != nil)
    }

    @Test("lifted tasks go first, then higher bands, then what was served longest ago")
    func order() throws {
        var fleet = Fleet()
        fleet.busy("a", 0)
        fleet.waits(50)
        fleet.waits(90)
        fleet.waits(90) { $0.servedAt = Self.start.addingTimeInterval(-9) }
        #expect(fleet.preemption.decisions().first?.promise?.head == 3)
        fleet.waits(0) { $0.isLifted = true }
        #expect(fleet.preemption.decisions().map { $0.promise?.head } == [4])
    }

    @Test("in fleets at random each task has one place, each worker one order, and bounds hold")
    func random() {
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<200 {
            var fleet = Fleet()
            for number in 0..<Int.random(in: 0...12, using: &generator) {
                let parks = Int.random(in: 0...3, using: &generator)
                let age = Double.random(in: 0...200, using: &generator)
                let priority = Int.random(in: 0...100, using: &generator)
                fleet.busy("w\(number)", priority) {
                    $0.parks = parks
                    $0.ageSeconds = age
                    $0.unsavedSteps = number
                }
            }
            for _ in 0..<Int.random(in: 0...4, using: &generator) {
                fleet.waits(
                    Int.random(in: 0...100, using: &generator),
                    tasks: Int.random(in: 1...4, using: &generator)
                )
            }
            let decisions = fleet.preemption.decisions()
            #expect(Set(decisions.map(\.worker)).count == decisions.count)
            #expect(Set(decisions.map(\.task)).count == decisions.count)
            #expect(decisions.count <= fleet.preemption.waiting.count)
            for decision in decisions {
                guard let victim = decision.victim else { continue }
                let head = fleet.preemption.view.heads.first { $0.id == decision.promise?.head }
                #expect(head?.standing.outranks(victim.standing) == true)
                #expect(victim.parks < 2 && victim.ageSeconds >= 60)
            }
        }
    }
}

/// Random numbers that are the same in each run.
private struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}
