import FarmModel
import Hummingbird
import NIOCore
import Prometheus

extension CoordinatorAPI {
    /// Where the metrics are.
    static let metricsPath = "/metrics"

    func addMetricsRoute(to table: RouteTable) {
        let access: RouteAccess = settings.areMetricsOpen ? .open : .least(.viewer)
        table.on(.get, Self.metricsPath, for: access) { request, _ in
            let format = Exposition(accept: request.headers[.accept])
            return Response(
                status: .ok,
                headers: [.contentType: format.contentType],
                body: ResponseBody(
                    byteBuffer: ByteBuffer(string: format.write(metrics.families))
                )
            )
        }
    }
}
