/// The noise schedule, as `scheduler/scheduler_config.json` gives it.
package struct SchedulerConfiguration: Codable, Sendable, Equatable {
    /// Timesteps of training; a sigma of 1 is this timestep.
    package var numTrainTimesteps: Int
    /// The fixed shift, used when shifting is not dynamic.
    package var shift: Double
    /// Whether the shift depends on the count of output tokens.
    package var useDynamicShifting: Bool
    /// The shift's exponent at `baseImageSeqLen` tokens.
    package var baseShift: Double
    /// The shift's exponent at `maxImageSeqLen` tokens.
    package var maxShift: Double
    package var baseImageSeqLen: Int
    package var maxImageSeqLen: Int

    /// The schedule of FLUX.1-dev.
    package static let dev = SchedulerConfiguration(
        numTrainTimesteps: 1000,
        shift: 3,
        useDynamicShifting: true,
        baseShift: 0.5,
        maxShift: 1.15,
        baseImageSeqLen: 256,
        maxImageSeqLen: 4096
    )

    /// The schedule of FLUX.1-schnell: no shift at all.
    package static let schnell = SchedulerConfiguration(
        numTrainTimesteps: 1000,
        shift: 1,
        useDynamicShifting: false,
        baseShift: 0.5,
        maxShift: 1.15,
        baseImageSeqLen: 256,
        maxImageSeqLen: 4096
    )

    enum CodingKeys: String, CodingKey {
        case numTrainTimesteps = "num_train_timesteps"
        case shift
        case useDynamicShifting = "use_dynamic_shifting"
        case baseShift = "base_shift"
        case maxShift = "max_shift"
        case baseImageSeqLen = "base_image_seq_len"
        case maxImageSeqLen = "max_image_seq_len"
    }
}

/// A model's own defaults, from `dreamo/defaults.json`; every key may be left out.
package struct ModelDefaults: Codable, Sendable, Equatable {
    /// Width of a picture in pixels.
    package var width: Int?
    /// Height of a picture in pixels.
    package var height: Int?
    /// The side of the square whose area references are resized to, in pixels.
    package var referenceResolution: Int?
    /// Denoise steps.
    package var steps: Int?
    /// Distilled guidance.
    package var guidance: Float?

    enum CodingKeys: String, CodingKey {
        case width, height, steps, guidance
        case referenceResolution = "ref_res"
    }
}
