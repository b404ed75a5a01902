package import FarmModel
package import FarmStore
package import FoundationEssentials

extension TokenRole {
    /// How far up the ladder of people's roles it stands; a worker stands beside it.
    private var height: Int {
        switch self {
        case .worker: 0
        case .viewer: 1
        case .submitter: 2
        case .operator: 3
        case .admin: 4
        }
    }

    /// Whether the role may do what `least` may; an admin may do what workers may.
    func includes(_ least: TokenRole) -> Bool {
        least == .worker ? self == .worker || self == .admin : height >= least.height
    }
}

/// Who makes a request, by its token.
package struct Caller: Hashable, Sendable {
    /// Whose jobs it submits and sees.
    package var owner: String
    package var role: TokenRole
    /// What its token is for alone; nil where it is for all that the role may.
    package var binding: TokenBinding?
    /// When its token is over; nil where the store of tokens says so when it is.
    package var endsAt: Date?

    package init(owner: String, role: TokenRole, binding: TokenBinding? = nil) {
        self.owner = owner
        self.role = role
        self.binding = binding
    }

    /// Whether its token lets workers join, and does nothing else.
    var isJoining: Bool { if case .join = binding { true } else { false } }

    /// The one worker that it acts as; nil where it may act as any.
    var ownWorker: WorkerID? { if case .worker(let id) = binding { id } else { nil } }

    /// Whether it sees the jobs of every owner.
    package var seesEverything: Bool { role == .worker || role.includes(.operator) }
}

/// Who may use a route, said where the route is declared.
package enum RouteAccess: Hashable, Sendable, CustomStringConvertible {
    /// Everyone, without a token.
    case open
    /// Every token.
    case token
    /// Tokens of this role and of those that include it.
    case least(TokenRole)
    /// Workers, and people of this role and of those that include it.
    case workersAnd(TokenRole)
    /// Whom the other lets in, and tokens by which workers join.
    indirect case joiningOr(RouteAccess)

    /// Whether it lets `caller` in; nil is a request without a token.
    func admits(_ caller: Caller?) -> Bool {
        if let caller, caller.isJoining {
            switch self {
            case .open, .joiningOr: return true
            default: return false
            }
        }
        return switch self {
        case .open: true
        case .token: caller != nil
        case .least(let role): caller?.role.includes(role) ?? false
        case .workersAnd(let role):
            caller.map { $0.role == .worker || $0.role.includes(role) } ?? false
        case .joiningOr(let others): others.admits(caller)
        }
    }

    /// Who is let in, for a message and for the description of the API.
    package var description: String {
        switch self {
        case .open: "anyone"
        case .token: "any token"
        case .least(let role): role.rawValue
        case .workersAnd(let role): "worker or \(role.rawValue)"
        case .joiningOr(let others): "\(others) or join token"
        }
    }

    /// Whether it is for workers, and for admins in their stead.
    var isForWorkers: Bool {
        switch self {
        case .least(.worker): true
        case .joiningOr(let others): others.isForWorkers
        default: false
        }
    }
}
