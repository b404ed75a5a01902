import Diffusion
import FarmModel

extension RenderRequest {
    /// The request that an image's settings are.
    ///
    /// - Parameters:
    ///   - settings: The settings, fixed when the job was submitted.
    ///   - references: The paths of the reference files, in the order of the settings.
    ///   - loras: The paths of the adapters' files, in the order of the settings; nothing where
    ///     only conditions are asked for, which they do not change.
    /// - Throws: `ImageError` for a reference that is no picture.
    init(_ settings: RenderSettings, references: [String], loras: [String] = []) throws {
        self.init(
            prompt: settings.prompt,
            width: settings.width,
            height: settings.height,
            steps: settings.steps,
            guidance: Float(settings.guidance),
            seed: UInt64(bitPattern: settings.seed),
            refRes: settings.refRes
        )
        negativePrompt = settings.negativePrompt
        firstStepGuidance = Float(settings.firstStepGuidance)
        trueCFG = TrueCFG(
            scale: Float(settings.trueCfg.scale),
            start: settings.trueCfg.start,
            end: settings.trueCfg.end,
            guidance: Float(settings.trueCfg.guidance)
        )
        conditions = try zip(settings.references, references).map { reference, path in
            try Condition(
                path: path,
                task: .init(rawValue: reference.task.rawValue) ?? .ip,
                slot: reference.slot,
                name: reference.image
            )
        }
        prepare = .init(rawValue: settings.prepare.rawValue) ?? .resize
        posterior = .init(rawValue: settings.posterior.rawValue) ?? .mode
        noise = .init(rawValue: settings.noise.rawValue) ?? .float32
        maxTextTokens = settings.maxTextTokens
        stepCache = Float(settings.stepCache ?? 0)
        self.loras = zip(settings.loras, loras).map { lora, path in
            AdapterSelection.Lora(path: path, strength: Float(lora.weight), name: lora.file)
        }
    }
}
