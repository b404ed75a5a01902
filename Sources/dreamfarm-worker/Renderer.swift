import FarmModel
import FarmWorker

/// The renderer of the model that the settings name.
///
/// - Throws: ``RenderFailure`` when the model cannot be loaded.
func makeRenderer(_ settings: WorkerOptions) async throws -> any ImageRenderer {
    throw RenderFailure(.workersFault, "\(settings.model): this build has no renderer")
}
