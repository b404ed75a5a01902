import BlobStore
package import FarmModel
import HTTPTypes
package import Hummingbird
import Logging
import NIOCore

/// An error with the problem that the API answers it with.
package struct CoordinatorProblem: HTTPResponseError, CustomStringConvertible {
    package var details: ProblemDetails

    package init(
        _ kind: ProblemKind,
        _ detail: String? = nil,
        problems: [SpecificationProblem]? = nil
    ) {
        details = ProblemDetails(kind, detail: detail, problems: problems)
    }

    package var status: HTTPTypes.HTTPResponse.Status { .init(code: details.status) }

    package var description: String { details.detail ?? details.title }

    package func response(from request: Request, context: some RequestContext) throws -> Response {
        var response = try Response(message: details, status: status)
        response.headers[.contentType] = "application/problem+json"
        return response
    }
}

extension Response {
    /// A message as JSON.
    init(
        message: some Encodable,
        status: HTTPTypes.HTTPResponse.Status = .ok
    ) throws {
        let data = try FarmJSON.encode(message)
        self.init(
            status: status,
            headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: data))
        )
    }
}

/// Answers every error with a problem, and logs those that are the coordinator's own.
struct ProblemMiddleware<Context: RequestContext>: RouterMiddleware {
    @concurrent func handle(
        _ request: Request,
        context: Context,
        next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let error as CancellationError {
            throw error
        } catch {
            let problem = Self.problem(for: error)
            if problem.details.status >= 500 {
                context.logger.error(
                    "Request failed",
                    metadata: ["path": "\(request.uri.path)", "error": "\(error)"]
                )
            }
            return try problem.response(from: request, context: context)
        }
    }

    private static func problem(for error: any Error) -> CoordinatorProblem {
        switch error {
        case let problem as CoordinatorProblem: problem
        case let error as JobSpecificationError:
            CoordinatorProblem(
                .invalidSpecification,
                error.description,
                problems: error.problems
            )
        case let error as BlobStoreError:
            switch error {
            case .digestMismatch: CoordinatorProblem(.digestMismatch, error.description)
            case .tooLarge: CoordinatorProblem(.tooLarge, error.description)
            case .missing: CoordinatorProblem(.notFound, error.description)
            default: CoordinatorProblem(.unavailable, error.description)
            }
        case let error as HTTPError where error.status == .notFound:
            CoordinatorProblem(.notFound, "there is no such route")
        case let error as HTTPError where error.status == .contentTooLarge:
            CoordinatorProblem(.tooLarge, "the body is longer than is accepted here")
        case let error as any HTTPResponseError where (400..<500).contains(error.status.code):
            CoordinatorProblem(.malformed, "the request cannot be read")
        default: CoordinatorProblem(.internal, "see the coordinator's log")
        }
    }
}
