import FarmModel
import FoundationEssentials

/// A worker's seat in groups: what the coordinator wants it to be, and how far it says it is.
final class GroupSeat: Sendable {
    private let state = Watched(State())

    private struct State: Sendable {
        var order: GroupOrder?
        var standing: GroupStanding?
        /// Whether a member is lost of which the standing does not tell yet.
        var isInterrupted = false
        /// Whether it can render alone in its seat: until that is taken.
        var mayFill = false
        /// Whether it asks for one.
        var isFilling = false
        /// Counts what the next heartbeat has to say at once.
        var news = 0

        /// The group that it leads, once that is ready.
        var lead: GroupEpoch? {
            guard let standing, standing.rank == 0, standing.phase == .ready else { return nil }
            return GroupEpoch(group: standing.group, epoch: standing.epoch)
        }
    }

    /// How far the worker is, for its heartbeat.
    var standing: GroupStanding? { state.read { $0.standing } }

    /// Counts up with what is to be told at once.
    var news: Int { state.read { $0.news } }

    /// Returns once there is something to tell that was not when `news` was that.
    func changed(since news: Int) async throws {
        try await state.wait { $0.news == news ? nil : () }
    }

    /// Lets the next heartbeat go at once, for what it will be answered with.
    func ask() {
        state.update { $0.news += 1 }
    }

    /// Returns once the worker may have tasks of its own: alone, as the first of a group that is
    /// ready, or while it is reserved for one.
    ///
    /// - Returns: As what it claims; where it fills, its seat cannot be taken before ``endClaim()``.
    func mayClaim() async throws -> Claimant {
        try await state.wait { state -> Claimant? in
            guard !state.isInterrupted else { return nil }
            guard state.standing != nil else { return .alone }
            if let lead = state.lead { return .leader(lead) }
            guard state.mayFill, state.order?.isReserved == true else { return nil }
            state.isFilling = true
            return .filling
        }
    }

    /// Whether what was claimed as `claimant` would still be rendered so.
    func isStill(_ claimant: Claimant) -> Bool {
        state.read { state in
            switch claimant {
            case .leader(let lead): state.lead == lead
            case .alone, .filling: state.standing == nil || state.mayFill
            }
        }
    }

    /// As what a worker claims.
    enum Claimant: Sendable, Hashable {
        /// Alone, in no group that it knows of.
        case alone
        /// Alone, while it is reserved for a group.
        case filling
        /// For a group that is ready.
        case leader(GroupEpoch)
    }

    /// Notes that a claim was answered and what it brought is held.
    func endClaim() {
        state.update { $0.isFilling = false }
    }

    /// Keeps the worker from tasks until it has a seat anew: what the group rendered broke off.
    func interrupt() {
        state.update { $0.isInterrupted = true }
    }

    // MARK: - What is wanted

    /// Takes what a heartbeat was answered with.
    func follow(_ order: GroupOrder?) {
        state.update { state in
            // answers may overtake each other
            if let order, let known = state.order, order.group == known.group,
                order.epoch < known.epoch
            {
                return
            }
            state.order = order
        }
    }

    /// What the worker is to be, as soon as that is another seat or epoch than `seat`.
    func order(otherThan seat: Seat?) async throws -> GroupOrder? {
        try await state.wait { state in
            state.order.map(Seat.init) == seat ? nil : .some(state.order)
        }
    }

    /// Returns once a seat may be taken: what its workers held when it was reserved is over.
    ///
    /// From then on the worker takes nothing more.
    func mayBegin(_ seat: Seat) async throws {
        try await state.wait { state -> Void? in
            guard let order = state.order, Seat(order) == seat, !order.isReserved, !state.isFilling
            else { return nil }
            state.mayFill = false
            return ()
        }
    }

    /// The addresses of all members in the epoch of an order, by rank, once they are known.
    func addresses(of seat: Seat) async throws -> [Data] {
        try await state.wait { state in
            guard let order = state.order, Seat(order) == seat else { return nil }
            let addresses = order.members.sorted { $0.rank < $1.rank }.compactMap(\.address)
            return addresses.count == order.size ? addresses : nil
        }
    }

    /// A place in one epoch of a group.
    struct Seat: Sendable, Hashable {
        let group: GroupID
        let epoch: Int64
        let rank: Int
        let size: Int

        init(_ order: GroupOrder) {
            group = order.group
            epoch = order.epoch
            rank = order.rank
            size = order.size
        }
    }

    /// Returns once the coordinator wants something else than the epoch of a standing, or the group
    /// broke.
    func isOver(_ standing: GroupStanding) async throws {
        try await state.wait { state -> Void? in
            guard let order = state.order, order.group == standing.group,
                order.epoch == standing.epoch, state.standing?.phase == .ready
            else { return () }
            return nil
        }
    }

    // MARK: - How far it is

    /// Takes a seat, or leaves the one it had.
    ///
    /// - Parameters:
    ///   - seat: The seat; nil for none.
    ///   - mayFill: Whether the worker can render alone until the seat may be taken.
    func sit(_ seat: Seat?, mayFill: Bool = false) {
        state.update { state in
            state.standing = seat.map {
                GroupStanding(group: $0.group, epoch: $0.epoch, rank: $0.rank, phase: .reserved)
            }
            state.isInterrupted = false
            state.mayFill = mayFill
            state.news += 1
        }
    }

    /// Says how far it is, at once.
    func say(_ phase: GroupPhase, _ change: (inout GroupStanding) -> Void = { _ in }) {
        state.update { state in
            guard var standing = state.standing else { return }
            standing.phase = phase
            // a member holds nothing by then: what broke off was another epoch's
            if phase == .ready { state.isInterrupted = false }
            change(&standing)
            state.standing = standing
            state.news += 1
        }
    }
}
