import FarmWorker
import Logging

/// The renderer of the model that the settings name.
///
/// - Throws: An error that names the file and the remedy when the model cannot be used.
func makeRenderer(_ settings: WorkerOptions, logger: Logger) async throws -> any ImageRenderer {
    try await PipelineRenderer(
        PipelineRenderer.Configuration(
            path: settings.model,
            name: settings.registeredName,
            adapters: settings.adapters,
            usesTurbo: !settings.noTurbo,
            threads: settings.threads
        ),
        log: { logger.info("\($0)") }
    )
}
