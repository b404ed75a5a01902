import Collectives
package import FarmModel
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdCore
package import Logging
import NIOCore
import Prometheus

/// Serves what a worker tells of itself: `/healthz`, `/readyz` and `/metrics`, to everyone who reaches it.
package struct WorkerEndpoint: Sendable {
    /// How many connections there may be at one time; more of them wait.
    private static let mostConnections = 64

    private let listen: ListenAddress
    private let metrics: WorkerMetrics
    private let logger: Logger
    private let port = Watched<Int?>(nil)

    /// An endpoint of a worker's metrics that is to listen at an address.
    package init(_ listen: ListenAddress, of metrics: WorkerMetrics, logger: Logger) {
        self.listen = listen
        self.metrics = metrics
        self.logger = logger
    }

    /// Serves until the task is cancelled.
    ///
    /// - Throws: ``WorkerEndpointError`` where the address cannot be listened at.
    package func run() async throws {
        let application = Application(
            router: router,
            server: .http1(configuration: HTTP1Channel.Configuration(idleTimeout: .seconds(60))),
            configuration: ApplicationConfiguration(
                address: .hostname(listen.host, port: listen.port),
                serverName: "dreamfarm-worker",
                availableConnectionsDelegate: .maximum(Self.mostConnections, logger: quiet)
            ),
            onServerRunning: { channel in
                let bound = channel.localAddress?.port ?? listen.port
                logger.notice(
                    "Serving metrics",
                    metadata: ["address": "http://\(listen.with(port: bound))"]
                )
                port.update { $0 = bound }
            },
            logger: quiet
        )
        do {
            try await application.run()
        } catch let error as IOError {
            throw WorkerEndpointError(address: listen, reason: String(describing: error))
        }
    }

    /// The address under which others read the metrics, once it is listened at: its own, or, where that is
    /// every one of the machine's, the one that leads to the coordinator.
    ///
    /// - Parameter coordinator: The coordinator's address, as `http://host:port`.
    /// - Returns: A host and a port.
    /// - Throws: `LinkError` for a coordinator that is nowhere, `CancellationError`.
    package func address(toward coordinator: String) async throws -> String {
        let port = try await port.wait { $0 }
        var address = listen.with(port: port)
        if ["0.0.0.0", "::"].contains(listen.host) {
            let other = URL(string: coordinator)
            address.host = try NetworkInterface.address(
                toward: other?.host() ?? "127.0.0.1",
                port: UInt16(clamping: other?.port ?? 80)
            )
        }
        return address.description
    }

    /// What the server itself says is of interest when something is wrong.
    private var quiet: Logger {
        var logger = logger
        logger.logLevel = max(logger.logLevel, .warning)
        return logger
    }

    private var router: Router<BasicRequestContext> {
        let router = Router()
        router.get("/healthz") { _, _ in Response(status: .ok) }
        router.get("/readyz") { [metrics] _, _ in
            guard let obstacle = metrics.reader.obstacle else { return Response(status: .ok) }
            return Self.text(obstacle + "\n", status: .serviceUnavailable)
        }
        router.get("/metrics") { [metrics] request, _ in
            let format = Exposition(accept: request.headers[.accept])
            return Self.text(format.write(metrics.families), type: format.contentType)
        }
        return router
    }

    private static func text(
        _ text: String,
        status: HTTPResponse.Status = .ok,
        type: String = "text/plain; charset=utf-8"
    ) -> Response {
        Response(
            status: status,
            headers: [.contentType: type],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text))
        )
    }
}

/// Why a worker's endpoint cannot listen.
package struct WorkerEndpointError: Error, CustomStringConvertible {
    let address: ListenAddress
    let reason: String

    package var description: String {
        "cannot listen at \(address): \(reason); give another --metrics-listen"
    }
}

extension ListenAddress {
    fileprivate func with(port: Int) -> ListenAddress {
        var address = self
        address.port = port
        return address
    }
}
