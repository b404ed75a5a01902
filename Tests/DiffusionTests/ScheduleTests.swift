import Networks
import Tensors
import Testing

@testable import Diffusion

/// Noise levels, token positions and packing.
@Suite
struct ScheduleTests {
    @Test(
        "levels of FLUX.1-dev in 12 steps",
        arguments: [
            (
                4096,
                [
                    1, 0.972020, 0.940444, 0.904531, 0.863321, 0.815548, 0.759511, 0.692861,
                    0.612267, 0.512844, 0.387119, 0.223065, 0,
                ]
            ),
            (
                2304,
                [
                    1, 0.962477, 0.921007, 0.874931, 0.823438, 0.765512, 0.699867, 0.624852,
                    0.538305, 0.437345, 0.318045, 0.174909, 0,
                ]
            ),
        ] as [(Int, [Float])]
    )
    func dynamicShift(tokens: Int, levels: [Float]) {
        let schedule = Schedule(steps: 12, outputTokens: tokens, configuration: .dev)
        #expect(schedule.steps == 12)
        #expect(schedule.sigmas.count == 13)
        for (sigma, level) in zip(schedule.sigmas, levels) {
            #expect(abs(sigma - level) < 7e-7)
        }
        for step in 0..<12 {
            #expect(abs(schedule.timestep(step) - schedule.sigmas[step]) < 1e-6)
            let next = schedule.sigmas[step] + schedule.distance(step)
            #expect(abs(next - schedule.sigmas[step + 1]) < 1e-6)
        }
    }

    @Test("without dynamic shift the size of the picture does not count")
    func fixedShift() {
        #expect(
            Schedule(steps: 4, outputTokens: 4096, configuration: .schnell).sigmas
                == [1, 0.75, 0.5, 0.25, 0]
        )
        var configuration = SchedulerConfiguration.dev
        configuration.useDynamicShifting = false
        for tokens in [16, 4096] {
            let schedule = Schedule(steps: 4, outputTokens: tokens, configuration: configuration)
            for (sigma, level) in zip(schedule.sigmas, [1, 0.9, 0.75, 0.5, 0] as [Float]) {
                #expect(abs(sigma - level) < 1e-6)
            }
        }
    }

    @Test("one step goes all the way", arguments: [SchedulerConfiguration.dev, .schnell])
    func oneStep(configuration: SchedulerConfiguration) {
        let schedule = Schedule(steps: 1, outputTokens: 16, configuration: configuration)
        #expect(schedule.sigmas == [1, 0])
        #expect(schedule.distance(0) == -1)
    }

    @Test("references stand down the diagonal, corner to corner")
    func positions() {
        let positions = RenderPipeline.positions(
            output: TokenGrid(rows: 2, columns: 3),
            references: [TokenGrid(rows: 1, columns: 2), TokenGrid(rows: 2, columns: 1)]
        )
        let expected = [
            (0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 3), (2, 4), (3, 5), (4, 5),
        ].map { TokenPosition(row: $0, column: $1) }
        #expect(positions == expected)
        let alone = RenderPipeline.positions(
            output: TokenGrid(rows: 1, columns: 2),
            references: []
        )
        #expect(alone == [TokenPosition(row: 0, column: 0), TokenPosition(row: 0, column: 1)])
    }

    @Test("a token is a 2×2 patch: channel, then row, then column")
    func packing() {
        let grid = TokenGrid(rows: 2, columns: 3)
        let latent = Tensor(rows: 2, columns: 24, values: (0..<48).map { Float($0) })
        let tokens = Patches.pack(latent, grid: grid)
        #expect(tokens.rows == 6)
        #expect(tokens.columns == 8)
        #expect(tokens.rows(0..<1).values == [0, 1, 6, 7, 24, 25, 30, 31])
        #expect(tokens.rows(4..<5).values == [14, 15, 20, 21, 38, 39, 44, 45])
        #expect(Patches.unpack(tokens, grid: grid).values == latent.values)
    }
}
