import HTTPTypes
import Hummingbird
import Telemetry
import Tracing

/// Makes each request a span, as part of the trace that it comes with.
///
/// It has to stand outside of what makes answers of errors. Where nothing is exported, what the request does is
/// still in its trace, so that a job's worker finds it.
struct RequestTracingMiddleware: RouterMiddleware {
    typealias Context = FarmRequestContext

    /// The methods that are told by their names.
    private static let methods: Set<HTTPRequest.Method> = [
        .get, .head, .post, .put, .patch, .delete, .options, .connect, .trace,
    ]

    let tracer: FarmTracer
    let scheme: String

    @concurrent func handle(
        _ request: Request,
        context: Context,
        next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        var place = InstrumentationContext.topLevel
        tracer.extract(request.headers, into: &place, using: HeaderReader())
        let isKnown = Self.methods.contains(request.method)
        let method = isKnown ? request.method.rawValue : "HTTP"
        if place.trace == nil, !tracer.isOn || Self.isQuiet(request.uri.path) {
            return try await next(request, context)
        }
        return try await tracer.withSpan(method, context: place, ofKind: .server) { span in
            if span.isRecording { span.updateAttributes { describe(request, context, in: &$0) } }
            let response = try await next(request, context)
            guard span.isRecording else { return response }
            if let route = context.endpointPath, route != RequestMetricsMiddleware.noRoute {
                span.operationName = "\(method) \(route)"
                span.updateAttributes { $0["http.route"] = route }
            }
            let status = Int(response.status.code)
            span.updateAttributes { $0["http.response.status_code"] = status }
            if status >= 500 {
                span.updateAttributes { $0["error.type"] = "\(status)" }
                span.setStatus(SpanStatus(code: .error))
            }
            return response
        }
    }

    /// Whether a path is asked every few seconds and tells nothing: such a request begins no trace.
    private static func isQuiet(_ path: String) -> Bool {
        switch path {
        case "/healthz", "/readyz", "/metrics": true
        default:
            path.hasPrefix("/v1/workers/")
                && (path.hasSuffix("/heartbeat") || path.hasSuffix("/claim"))
        }
    }

    /// What is known of a request before it is looked at; no query, in which an owner may stand.
    private func describe(
        _ request: Request,
        _ context: Context,
        in attributes: inout SpanAttributes
    ) {
        let method = request.method
        if Self.methods.contains(method) {
            attributes["http.request.method"] = method.rawValue
        } else {
            attributes["http.request.method"] = "_OTHER"
            attributes["http.request.method_original"] = method.rawValue
        }
        attributes["url.path"] = request.uri.path
        attributes["url.scheme"] = scheme
        attributes["user_agent.original"] = request.headers[.userAgent]
        attributes["client.address"] = context.channel.remoteAddress?.ipAddress
        guard let authority = request.head.authority, let mark = authority.lastIndex(of: ":"),
            let port = Int(authority[authority.index(after: mark)...])
        else {
            attributes["server.address"] = request.head.authority
            return
        }
        attributes["server.address"] = String(authority[..<mark])
        attributes["server.port"] = port
    }

    private struct HeaderReader: Extractor {
        func extract(key: String, from headers: HTTPFields) -> String? {
            HTTPField.Name(key).flatMap { headers[$0] }
        }
    }
}
