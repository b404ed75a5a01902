package import Tensors

extension RenderPipeline {
    /// Lets a probe see the products of all layers from now on; nil for none.
    package func observe(_ probe: ProductProbe?) {
        compute.probe = probe
    }
}
