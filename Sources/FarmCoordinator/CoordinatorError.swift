import BlobStore
package import FarmModel
import HTTPTypes
package import Hummingbird
import Logging
import Postgres

/// An error with the problem that the API answers it with.
package struct CoordinatorProblem: HTTPResponseError, CustomStringConvertible {
    package var details: ProblemDetails
    /// The methods that there are, where another was tried.
    var allow: [String] = []
    /// In how many seconds to try again, where that is known.
    var retryAfter: Double?

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
        if !allow.isEmpty { response.headers[.allow] = allow.joined(separator: ", ") }
        switch details.status {
        case _ where retryAfter != nil:
            response.headers[.retryAfter] = String(Int((retryAfter ?? 0).rounded(.up)))
        case 401: response.headers[.wwwAuthenticate] = "Bearer"
        case 503: response.headers[.retryAfter] = "2"
        case 507: response.headers[.retryAfter] = "60"
        default: break
        }
        return response
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
            guard !request.uri.string.contains("%00") else {
                throw CoordinatorProblem(.malformed, "the address holds a NUL character; remove it")
            }
            return try await next(request, context)
        } catch let error as CancellationError {
            throw error
        } catch {
            let problem = Self.problem(for: error)
            switch problem.details.kind {
            case .internal:
                context.logger.error(
                    "Request failed",
                    metadata: ["path": "\(request.uri.path)", "error": "\(error)"]
                )
            case .unavailable:
                // Every worker asks again and again while the database is away.
                context.logger.debug(
                    "Request has to wait",
                    metadata: ["path": "\(request.uri.path)", "error": "\(error)"]
                )
            default: break
            }
            return try problem.response(from: request, context: context)
        }
    }

    private static func problem(for error: any Error) -> CoordinatorProblem {
        switch error {
        case let problem as CoordinatorProblem: problem
        case let excess as RequestExcess: problem(for: excess)
        case let error as JobSpecificationError:
            CoordinatorProblem(
                .invalidSpecification,
                error.description,
                problems: error.problems
            )
        case let error as BlobStoreError: problem(for: error)
        case let error as DatabaseError where error.isUnavailable:
            CoordinatorProblem(.unavailable, "the database does not answer; try again")
        case let error as DatabaseError where error.isConflict || error.isStalePlan:
            // Nothing of it is done, and it passes when it comes again.
            CoordinatorProblem(.unavailable, "the database changed meanwhile; try again")
        case let error as HTTPError where error.status == .notFound:
            CoordinatorProblem(.notFound, "there is no such route")
        case let error as HTTPError where error.status == .contentTooLarge:
            CoordinatorProblem(.tooLarge, "the body is longer than is accepted here")
        case let error as any HTTPResponseError where (400..<500).contains(error.status.code):
            CoordinatorProblem(.malformed, "the request cannot be read")
        default: CoordinatorProblem(.internal, "see the coordinator's log")
        }
    }

    private static func problem(for excess: RequestExcess) -> CoordinatorProblem {
        var problem = CoordinatorProblem(
            .tooManyRequests,
            "\(excess.reason); wait, or ask the farm's operators for more"
        )
        problem.retryAfter = min(max(1, excess.retryAfter), 3600)
        return problem
    }

    private static func problem(for error: BlobStoreError) -> CoordinatorProblem {
        switch error {
        case .digestMismatch: CoordinatorProblem(.digestMismatch, error.description)
        case .tooLarge: CoordinatorProblem(.tooLarge, error.description)
        case .missing: CoordinatorProblem(.notFound, error.description)
        case .badRange: CoordinatorProblem(.badRange, error.description)
        case .full: CoordinatorProblem(.blobStoreFull, error.description)
        default: CoordinatorProblem(.unavailable, error.description)
        }
    }
}

extension DatabaseError {
    /// Whether the database is away for a while, as against a statement that is wrong.
    var isUnavailable: Bool {
        if isConnectionLoss { return true }
        guard let sqlState else { return false }
        // It shuts down, starts, recovers, or has no connection left.
        return sqlState.hasPrefix("57P") || sqlState.hasPrefix("08") || sqlState == "53300"
    }
}
