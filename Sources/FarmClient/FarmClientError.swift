package import FarmModel
package import HTTPTransport

/// Why a call of the coordinator's API has no answer.
package enum FarmClientError: Error, CustomStringConvertible {
    /// The coordinator refused, and says why.
    case refused(ProblemDetails)
    /// The coordinator cannot be reached.
    case unreachable(HTTPTransportError)
    /// What answers is not a coordinator of this release.
    case unreadable(url: String, status: Int)
    /// There is no token to show.
    case noToken(path: String)

    package var description: String {
        switch self {
        case .refused(let problem):
            if let problems = problem.problems, !problems.isEmpty {
                problems.map(\.description).joined(separator: "\n")
            } else {
                problem.detail ?? problem.title
            }
        case .unreachable(let error): error.description
        case .unreadable(let url, let status):
            "\(url) answered \(status) with what is no answer of a coordinator; "
                + "check --coordinator"
        case .noToken(let path):
            "there is no token at \(path); give --token, or --data-dir of the coordinator"
        }
    }

    /// Whether the write belonged to a lease that is over.
    package var isStale: Bool { kind == .stale }

    /// Whether the coordinator, or what it stands on, is away for a while: the same call may be
    /// answered later.
    package var isAway: Bool {
        if case .unreachable = self { true } else { kind == .unavailable }
    }

    /// The kind of the refusal, if it is one.
    package var kind: ProblemKind? {
        if case .refused(let problem) = self { problem.kind } else { nil }
    }
}
