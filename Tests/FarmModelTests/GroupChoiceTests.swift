import FarmModel
import Foundation
import Testing

@Suite struct GroupChoiceTests {
    private static let memory = ModelMemory(sharded: 12, replicated: 2, working: 1)

    private func ranks(
        free: [Int64],
        memory: ModelMemory? = memory,
        _ change: (inout GroupChoice.Work) -> Void = { _ in }
    ) -> Int? {
        var work = GroupChoice.Work()
        change(&work)
        return GroupChoice.ranks(for: work, memory: memory, free: free)
    }

    @Test("workers alone make the most pictures, wherever they hold the model")
    func alone() {
        #expect(ranks(free: [16, 16]) == 1)
        #expect(ranks(free: [0, 0]) == 1)
        #expect(ranks(free: [1], memory: nil) == 1)
    }

    @Test("what a job asks for decides")
    func wanted() {
        #expect(ranks(free: []) { $0.wantedRanks = 4 } == 4)
    }

    @Test(
        "a model that fits into no worker gets the fewest ranks that hold it",
        arguments: [
            ([9, 9, 9], 2), ([8, 9, 8], 3), ([9, 1, 1], nil), ([6, 6], nil), ([], nil),
        ] as [([Int64], Int?)]
    )
    func oversize(free: [Int64], least: Int?) {
        #expect(ranks(free: free) == least)
    }

    @Test("a model is split into no more ranks than it has heads")
    func heads() {
        var memory = ModelMemory(sharded: 12, replicated: 2, working: 1, mostRanks: 2)
        var work = GroupChoice.Work()
        let free: [Int64] = [7, 7, 7]
        #expect(GroupChoice.ranks(for: work, memory: memory, free: free) == nil)
        work.wantedRanks = 3
        #expect(GroupChoice.ranks(for: work, memory: memory, free: free) == nil)
        memory.mostRanks = 3
        #expect(GroupChoice.ranks(for: work, memory: memory, free: free) == 3)
    }

    @Test("a picture that would be late alone gets the fewest ranks that are in time")
    func deadline() {
        func choice(_ deadline: Double) -> Int? {
            ranks(free: [16, 16, 16, 16]) {
                $0.secondsAlone = 100
                $0.secondsInGroup = [2: 60, 4: 40, 8: 30]
                $0.deadlineSeconds = deadline
            }
        }
        #expect([120, 70, 50, 20].map(choice) == [1, 2, 4, 4])
    }

    @Test("a picture that is wanted sooner than a worker alone makes it is for a group, and why")
    func decision() throws {
        let now = Date(timeIntervalSince1970: 0)
        func decision(in seconds: Double, workers: Int = 4) -> GroupDecision? {
            GroupDecision(
                secondsAlone: 100,
                secondsInGroup: [2: 60, 3: 49.6, 4: 8.04],
                wantedBy: now.addingTimeInterval(seconds),
                now: now,
                workers: workers
            )
        }
        #expect(decision(in: 100) == nil)
        #expect(decision(in: 99)?.ranks == 2)
        #expect(decision(in: 20, workers: 3)?.ranks == 3)
        let late = try #require(decision(in: 20))
        #expect(late.ranks == 4)
        #expect(
            late.reason
                == "alone a picture takes 100 s, in a group of 4 8.0 s, wanted by "
                + "1970-01-01T00:00:20Z"
        )
    }

    @Test("a picture in a group takes its forwards together and the rest alone")
    func picture() throws {
        #expect(CostConstants.flux.hidden == 3072)
        #expect(CostConstants.flux.reductionsPerForward == 76)
        let model = CostModel(.flux)
        let job = try JobSpecification(
            parsing: "parameters: {prompt: a}\nrender: {true_cfg: {scale: 2, end: 3}}"
        )
        let defaults = ModelDefaults(width: 1024, height: 1024, refRes: 512, steps: 12, guidance: 4)
        let point = try #require(job.images(defaults: defaults, seed: 0, label: "j").first)
        let image = model.cost(of: point.settings)
        #expect((image.guidedSteps, image.tokens > image.plainTokens) == (3, false))
        func seconds(_ ranks: Int, _ link: CostModel.Link, _ precision: String = "int8") -> Double {
            model.groupSeconds(
                of: image,
                ranks: ranks,
                flopsPerSecond: 1e12,
                link: link,
                precision: precision
            )
        }
        let fast = CostModel.Link(latency: 0, bytesPerSecond: .infinity)
        let alone = image.flops / 1e12
        #expect(abs(seconds(1, fast) - alone) < 1e-9 * alone)
        let steps = image.stepFlops * Double(image.steps) / 1e12
        #expect(abs(seconds(4, fast) - (alone - steps * 3 / 4)) < 1e-9 * alone)
        #expect(seconds(4, .assumed) > seconds(4, fast))
        #expect(seconds(4, .assumed, "float32") > seconds(4, .assumed))
    }

    @Test("a step in a group takes its share of the arithmetic and what goes between ranks")
    func step() {
        let model = CostModel(.flux)
        func seconds(_ ranks: Int, _ link: CostModel.Link) -> Double {
            model.groupStepSeconds(
                tokens: 1000,
                ranks: ranks,
                flopsPerSecond: 1e12,
                link: link,
                hidden: 3072,
                bytesPerValue: 4,
                reductionsPerStep: 76
            )
        }
        let alone = model.forward(tokens: 1000) / 1e12
        let fast = CostModel.Link(latency: 0, bytesPerSecond: .infinity)
        #expect(seconds(1, fast) == alone)
        #expect(seconds(4, fast) == alone / 4)
        let slow = CostModel.Link(latency: 1e-3, bytesPerSecond: 1e9)
        let sums = 76 * (2e-3 + 1000 * 3072 * 4 / 1e9)
        #expect(abs(seconds(2, slow) - alone / 2 - sums) < 1e-9)
    }
}
