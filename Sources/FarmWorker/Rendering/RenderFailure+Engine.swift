import Diffusion
import FarmModel
import Imaging
import Tensors

extension RenderFailure {
    /// The failure that an error of the engine is, or the error itself where its kind is unknown.
    static func describing(engine error: any Error) -> any Error {
        switch error {
        case let error as RenderRequestError: RenderFailure(.deterministic, error.description)
        case let error as ImageError: RenderFailure(picture: error)
        case let error as RenderError: RenderFailure(.workersFault, error.description)
        case let error as SafetensorsError: RenderFailure(.workersFault, error.description)
        default: error
        }
    }

    private init(picture error: ImageError) {
        switch error {
        case .unreadable:
            // Taken out of the cache by another process; it is fetched again.
            self.init(.transient, error.description)
        case .outOfMemory: self.init(.resource, error.description)
        default: self.init(.deterministic, error.description)
        }
    }
}
