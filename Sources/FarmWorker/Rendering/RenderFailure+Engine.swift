import Diffusion
import FarmModel

extension RenderFailure {
    /// The failure that an error of the engine is, or the error itself where its kind is unknown.
    static func describing(engine error: any Error) -> any Error {
        guard let kind = RenderFailureKind(error) else { return error }
        return RenderFailure(kind.failureClass, "\(error)\(kind.remedy)")
    }
}

extension RenderFailureKind {
    /// What the farm does about it.
    fileprivate var failureClass: FailureClass {
        switch self {
        case .outOfMemory, .diskFull: .resource
        // Equal bytes in a numeric class: what is no number here is none elsewhere.
        case .brokenReference, .badRequest, .brokenAdapter, .notFinite: .deterministic
        // Taken out of the cache by another process: it is fetched again.
        case .missingFile, .badCheckpoint: .transient
        case .brokenModel: .workersFault
        }
    }

    /// What the worker's owner can do, where the error does not say it.
    fileprivate var remedy: String {
        switch self {
        case .diskFull: "; free space in the worker's --data-dir"
        case .brokenModel: "; copy the model to the worker again"
        case .outOfMemory, .missingFile, .brokenReference, .badRequest, .brokenAdapter,
            .badCheckpoint, .notFinite:
            ""
        }
    }
}
