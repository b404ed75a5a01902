import Testing

@testable import fault_harness

@Suite struct FaultPlanTests {
    private func plan(_ seed: UInt64, count: Int = 10) -> FaultPlan {
        FaultPlan(seed: seed, count: count, kinds: FaultKind.allCases, lease: .seconds(3))
    }

    @Test("a seed gives the same faults again, and another seed others")
    func repeats() {
        #expect(plan(7).lines == plan(7).lines)
        #expect(plan(7).lines != plan(8).lines)
    }

    @Test("of as many successive faults as there are kinds each is of another kind")
    func dealsKinds() {
        let kinds = FaultKind.allCases.count
        let faults = (1...UInt64(kinds)).flatMap { plan($0).faults.map(\.kind) }
        #expect(faults.count == 10 * kinds)
        for start in stride(from: 0, to: faults.count, by: kinds) {
            #expect(Set(faults[start..<(start + kinds)]).count == kinds)
        }
    }

    @Test(
        "of 200 runs of ten faults each kind comes at least 100 times, and each run has four kinds"
    )
    func dealsEnough() {
        let plans = (1...200).map { plan($0) }
        let counts = Dictionary(grouping: plans.flatMap { $0.faults.map(\.kind) }) { $0 }
        #expect(counts.values.allSatisfy { $0.count >= 100 })
        #expect(plans.allSatisfy { Set($0.faults.map(\.kind)).count >= 4 })
    }
}
