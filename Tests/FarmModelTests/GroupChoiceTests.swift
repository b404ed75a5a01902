import Foundation
import Testing

@testable import FarmModel

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
            ) ?? .nan
        }
        let fast = CostModel.Link(latency: 0, bytesPerSecond: .infinity)
        let alone = image.flops / 1e12
        #expect(abs(seconds(1, fast) - alone) < 1e-9 * alone)
        let steps = image.stepFlops * Double(image.steps) / 1e12
        #expect(abs(seconds(4, fast) - (alone - steps * 3 / 4)) < 1e-9 * alone)
        #expect(seconds(4, .assumed) > seconds(4, fast))
        #expect(seconds(4, .assumed, "float32") > seconds(4, .assumed))
    }

    @Test("a picture in a group takes what its steps are expected to, sums beside the arithmetic")
    func hidden() throws {
        let sizes = BlockSizes(doubleBlocks: 3, singleBlocks: 2, hidden: 768, mlp: 2048)
        var constants = CostConstants.flux
        constants.flopsPerToken = 1e9
        constants.blocks = sizes
        let model = CostModel(constants)
        let image = ImageCost(
            flops: 45e12,
            stepFlops: 1e12,
            steps: 40,
            tokens: 1000,
            textTokens: 200,
            denoiseTokens: 40_000,
            guidedSteps: 0,
            plainTokens: 1000
        )
        let link = CostModel.Link(latency: 1e-3, bytesPerSecond: 1e8)
        let step = GroupStep(
            ranks: 3,
            blocks: sizes,
            tokens: 1000,
            textTokens: 200,
            bytesPerValue: 2,
            roundTrip: 2e-3,
            bytesPerSecond: 1e8
        )
        let alone = model.forward(tokens: 1000) / 1e12
        // vectors are gathered for 32 steps at once
        let expected = 40 * step.seconds(alone: alone) + 2 * step.gatherSeconds + 5
        func seconds(_ model: CostModel) -> Double? {
            model.groupSeconds(
                of: image,
                ranks: 3,
                flopsPerSecond: 1e12,
                link: link,
                precision: "int8"
            )
        }
        #expect(abs(try #require(seconds(model)) - expected) < 1e-9)
        let bytes = 1000.0 * 768 * 2
        let sum = 2e-3 + 4.0 / 3 * bytes / 1e8
        // of the eight sums of a step most is hidden
        #expect(expected < 40 * alone / 3 + 5 + 0.7 * 320 * sum)
        constants.blocks = nil
        #expect(seconds(CostModel(constants)) == nil)
    }
}
