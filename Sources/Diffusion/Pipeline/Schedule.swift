// After diffusers' schedulers/scheduling_flow_match_euler_discrete.py.

import Glibc

/// The noise levels of a render: `steps` + 1 values from 1 down to 0.
package struct Schedule: Sendable, Equatable {
    /// The noise level before each step, and 0 after the last.
    package let sigmas: [Float]

    /// Makes the levels: linear from 1 to 1/steps, then shifted.
    ///
    /// - Parameters:
    ///   - steps: How many steps.
    ///   - outputTokens: Tokens of the output picture; reference tokens do not count.
    ///   - configuration: The scheduler's constants.
    package init(steps: Int, outputTokens: Int, configuration: SchedulerConfiguration) {
        let c = configuration
        let slope =
            (c.maxShift - c.baseShift) / Double(c.maxImageSeqLen - c.baseImageSeqLen)
        let mu = Double(outputTokens) * slope + c.baseShift - slope * Double(c.baseImageSeqLen)
        let last = 1 / Double(steps)
        let distance = steps > 1 ? (last - 1) / Double(steps - 1) : 0
        let growth = Float(exp(mu))
        let shift = Float(c.shift)
        let levels = (0..<steps).map { index -> Float in
            let linear = index == steps - 1 && steps > 1 ? last : Double(index) * distance + 1
            let s = Float(linear)
            guard c.useDynamicShifting else { return shift * s / (1 + (shift - 1) * s) }
            return growth / (growth + (1 / s - 1))
        }
        sigmas = levels + [0]
    }

    /// How many steps there are.
    package var steps: Int { sigmas.count - 1 }

    /// What the transformer is told of the noise level before a step.
    ///
    /// The published pipeline scales it by 1000 and back; the rounding is kept.
    func timestep(_ step: Int) -> Float { sigmas[step] * 1000 / 1000 }

    /// How far a step goes along the predicted velocity.
    func distance(_ step: Int) -> Float { sigmas[step + 1] - sigmas[step] }
}
