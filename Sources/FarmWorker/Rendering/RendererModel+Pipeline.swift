import Diffusion
import FarmModel

extension RendererModel {
    /// What the farm is told of an engine's model.
    init(named name: String, _ pipeline: RenderPipeline) {
        let defaults = pipeline.defaults
        self.init(
            name: name,
            digest: pipeline.digest.description,
            precision: "float32",
            defaults: FarmModel.ModelDefaults(
                width: defaults.width,
                height: defaults.height,
                refRes: defaults.refRes,
                steps: defaults.steps,
                guidance: Double("\(defaults.guidance)") ?? Double(defaults.guidance)
            )
        )
    }
}
