import ServiceLifecycle
import Telemetry

/// Exports spans while the coordinator serves, and what is left when it ends.
struct TraceService: Service {
    let exporter: OTLPExporter

    func run() async throws {
        await cancelWhenGracefulShutdown { await exporter.run() }
    }
}
