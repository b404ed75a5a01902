import FarmModel
import FoundationEssentials
import Testing

/// What a group's forward is expected to take.
@Suite
struct GroupStepTests {
    private func step(
        ranks: Int = 2,
        doubleBlocks: Int = 0,
        singleBlocks: Int = 1,
        tokens: Int = 2688,
        textTokens: Int = 512,
        roundTrip: Double = 0,
        bytesPerSecond: Double = 1e9
    ) -> GroupStep {
        GroupStep(
            ranks: ranks,
            blocks: BlockSizes(
                doubleBlocks: doubleBlocks,
                singleBlocks: singleBlocks,
                hidden: 3072,
                mlp: 12288
            ),
            tokens: tokens,
            textTokens: textTokens,
            bytesPerValue: 2,
            roundTrip: roundTrip,
            bytesPerSecond: bytesPerSecond
        )
    }

    @Test("one rank waits for nobody")
    func alone() {
        let step = step(ranks: 1, roundTrip: 1)
        #expect(step.seconds(alone: 3) == 3 && step.gatherSeconds == 0)
    }

    @Test("behind slow arithmetic all but the last chunk is hidden")
    func hidden() {
        let chunk = 384.0 * 3072 * 2 / 1e9
        #expect(abs(step().exposedSeconds(alone: 10) - chunk) < 1e-9)
        let later = step(roundTrip: 0.002).exposedSeconds(alone: 10)
        #expect(abs(later - chunk - 0.003) < 1e-9)
    }

    @Test("with no arithmetic to hide behind every byte is waited for")
    func exposed() {
        let bytes = 2688.0 * 3072 * 2
        let exposed = step(bytesPerSecond: 1e6).exposedSeconds(alone: 1e-6)
        #expect(abs(exposed / (bytes / 1e6) - 1) < 1e-3)
        let four = step(ranks: 4, bytesPerSecond: 1e6).exposedSeconds(alone: 1e-6)
        #expect(abs(four / (1.5 * bytes / 1e6) - 1) < 1e-3)
    }

    @Test("three chunks are under way at once")
    func delays() {
        // seven chunks, each on its way for a second and a half
        #expect(abs(step(roundTrip: 1).exposedSeconds(alone: 1e-6) - 4.5) < 0.02)
    }

    @Test("a double block waits twice, and hides its text behind its picture")
    func doubleBlocks() {
        let text = step(doubleBlocks: 1, singleBlocks: 0, tokens: 513, textTokens: 512)
        let picture = step(doubleBlocks: 1, singleBlocks: 0, tokens: 513, textTokens: 1)
        #expect(text.exposedSeconds(alone: 10) < picture.exposedSeconds(alone: 10))
        let both = step(doubleBlocks: 2, singleBlocks: 3).exposedSeconds(alone: 50)
        let one = step(doubleBlocks: 1, singleBlocks: 0).exposedSeconds(alone: 10)
        #expect(abs(both - 2 * one - 3 * step().exposedSeconds(alone: 10)) < 1e-9)
    }

    @Test("sizes that no model has are refused, and predict without an overflow")
    func absurdSizes() {
        var constants = CostConstants.flux
        #expect(constants.problem == nil)
        let sizes = BlockSizes(
            doubleBlocks: .max,
            singleBlocks: .max,
            hidden: .max,
            mlp: .max
        )
        constants.blocks = sizes
        #expect(constants.problem?.contains("'blocks.double_blocks'") == true)
        let step = GroupStep(
            ranks: 2,
            blocks: sizes,
            tokens: 700,
            textTokens: 512,
            bytesPerValue: 2,
            roundTrip: 1e-3,
            bytesPerSecond: 1e8
        )
        let seconds = step.seconds(alone: 1e30) + step.gatherSeconds
        #expect(seconds > 1e30)
        let decision = GroupDecision(
            secondsAlone: 1e30,
            secondsInGroup: [2: 1e29],
            wantedBy: Date(timeIntervalSince1970: 60),
            now: Date(timeIntervalSince1970: 0),
            workers: 2
        )
        #expect(decision?.reason.contains("more than 1000000000 s") == true)
        constants = .flux
        constants.textTokens = -1
        #expect(constants.problem?.contains("'text_tokens'") == true)
        constants = .flux
        constants.flopsPerToken = .infinity
        #expect(constants.problem?.contains("'flops_per_token'") == true)
    }

    @Test("a slower link never makes a step faster")
    func monotone() {
        let rates = [1e10, 1e9, 1e8, 1e7]
        let seconds = rates.map { step(doubleBlocks: 2, bytesPerSecond: $0).seconds(alone: 2) }
        #expect(seconds == seconds.sorted())
    }
}
