import Hummingbird

/// Notes how long each request took and how it was answered.
///
/// It has to stand outside of what makes answers of errors.
struct RequestMetricsMiddleware: RouterMiddleware {
    typealias Context = FarmRequestContext

    let metrics: FarmMetrics

    @concurrent func handle(
        _ request: Request,
        context: Context,
        next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        let start = ContinuousClock.now
        let response = try await next(request, context)
        let path = context.endpointPath.flatMap { $0 == Self.noRoute ? nil : $0 }
        metrics.note(requestOf: path, response.status, .now - start)
        return response
    }

    /// What the router says of a request that no route takes.
    static let noRoute = "NotFound"
}
