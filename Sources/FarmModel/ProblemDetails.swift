/// An error as the API gives it: RFC 9457's `application/problem+json`.
package struct ProblemDetails: Codable, Hashable, Sendable {
    /// A stable name of the kind of problem, as `/problems/stale`.
    package var type: String
    package var title: String
    package var status: Int
    /// What is wrong in this case and what to do about it.
    package var detail: String?
    /// Every problem of a refused specification.
    package var problems: [SpecificationProblem]?

    package init(
        _ kind: ProblemKind,
        detail: String? = nil,
        problems: [SpecificationProblem]? = nil
    ) {
        type = "/problems/\(kind.rawValue)"
        title = kind.title
        status = kind.status
        self.detail = detail
        self.problems = problems
    }

    /// The kind of the problem, where this release knows it.
    package var kind: ProblemKind? {
        ProblemKind.allCases.first { type == "/problems/\($0.rawValue)" }
    }
}

/// The kinds of problem that the API answers with; the names are stable.
package enum ProblemKind: String, CaseIterable, Sendable {
    /// The request cannot be read.
    case malformed
    /// The token is missing or unknown.
    case unauthorized
    /// The `Host` or `Origin` is not this coordinator's.
    case forbidden
    /// The token's role does not allow it.
    case notAllowed = "not-allowed"
    /// Nothing has this id.
    case notFound = "not-found"
    /// The write belongs to a lease that is over.
    case stale
    /// The same key already names another job.
    case conflict
    /// The route is there, but not with this method.
    case methodNotAllowed = "method-not-allowed"
    /// What it is about is not in a state for it.
    case wrongState = "wrong-state"
    /// The body is larger than is accepted.
    case tooLarge = "too-large"
    /// The part that is asked for lies behind the end.
    case badRange = "bad-range"
    /// The job specification is wrong.
    case invalidSpecification = "invalid-specification"
    /// The body's digest is not the one in its address.
    case digestMismatch = "digest-mismatch"
    /// The token makes more requests than it may.
    case tooManyRequests = "too-many-requests"
    /// Blobs that the job names are not in the store.
    case missingBlobs = "missing-blobs"
    /// No model is known, or not this one.
    case unknownModel = "unknown-model"
    /// No live worker can run the job, and it asked to be refused then.
    case unrunnable
    /// The owner holds as much as it may.
    case quotaExceeded = "quota-exceeded"
    /// The blob store has no room left but its reserve.
    case blobStoreFull = "blob-store-full"
    /// Something that the coordinator stands on does not answer.
    case unavailable
    /// The coordinator failed.
    case `internal`

    /// The HTTP status that goes with the kind.
    package var status: Int {
        switch self {
        case .malformed: 400
        case .unauthorized: 401
        case .forbidden, .notAllowed, .quotaExceeded: 403
        case .notFound: 404
        case .methodNotAllowed: 405
        case .stale, .conflict, .wrongState: 409
        case .tooLarge: 413
        case .badRange: 416
        case .invalidSpecification, .digestMismatch, .missingBlobs, .unknownModel, .unrunnable:
            422
        case .tooManyRequests: 429
        case .internal: 500
        case .unavailable: 503
        case .blobStoreFull: 507
        }
    }

    /// A short sentence for people.
    package var title: String {
        switch self {
        case .malformed: "The request cannot be read"
        case .unauthorized: "A valid token is needed"
        case .forbidden: "The request comes from elsewhere"
        case .notFound: "There is no such thing"
        case .methodNotAllowed: "The method is not one of this route"
        case .stale: "The lease is over"
        case .conflict: "The key names another job"
        case .notAllowed: "The token does not allow it"
        case .wrongState: "It is not in a state for this"
        case .tooLarge: "The body is too large"
        case .badRange: "There is no such part"
        case .invalidSpecification: "The job specification is wrong"
        case .digestMismatch: "The bytes have another digest"
        case .tooManyRequests: "There are too many requests"
        case .missingBlobs: "Blobs are missing"
        case .unknownModel: "The model is unknown"
        case .unrunnable: "No live worker can run the job"
        case .quotaExceeded: "The owner's quota is used up"
        case .blobStoreFull: "The blob store is full"
        case .unavailable: "The farm is not ready"
        case .internal: "The coordinator failed"
        }
    }
}
