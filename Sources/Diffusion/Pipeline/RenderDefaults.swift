/// What a render takes where the user says nothing.
package struct RenderDefaults: Sendable, Equatable {
    package var width: Int
    package var height: Int
    package var steps: Int
    package var guidance: Float
    package var refRes: Int

    package init(width: Int, height: Int, steps: Int, guidance: Float, refRes: Int) {
        self.width = width
        self.height = height
        self.steps = steps
        self.guidance = guidance
        self.refRes = refRes
    }
}

extension RenderPipeline {
    /// The model's own defaults over DreamO's: 1024×1024 in 12 steps, 25 without turbo.
    package var defaults: RenderDefaults {
        let own = model.defaults
        return RenderDefaults(
            width: own?.width ?? 1024,
            height: own?.height ?? 1024,
            steps: own?.steps ?? (adapters.hasTurbo ? 12 : 25),
            guidance: own?.guidance ?? Float(adapters.version?.defaultGuidance ?? 3.5),
            refRes: own?.referenceResolution ?? 512
        )
    }
}
