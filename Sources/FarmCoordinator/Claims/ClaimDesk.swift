import FarmModel
import Synchronization

/// Where claims wait for tasks, without a question to the database for each.
///
/// Claims of one group (one capability) that wait at the same moment are tried together, by one
/// call of `serve`; one such call of a group runs at a time, made by one of the claims that wait, so
/// that the desk needs no task of its own. Claims wait in the order in which they came. They are
/// tried when they come, when ``wake()`` says that there are new tasks, and, should that hint be
/// lost, every few seconds.
final class ClaimDesk<
    Group: Hashable & Sendable,
    Wish: Sendable,
    Grant: Sendable,
    Reason: Sendable
>:
    Sendable
{
    typealias Line = ClaimLine<Wish, Grant, Reason>
    typealias Outcome = ClaimOutcome<Grant, Reason>
    typealias Serve = @Sendable (Group, [Wish]) async throws -> [Outcome]

    /// One claim at the desk.
    struct Ticket: Sendable {
        let group: Group
        let number: UInt64
    }

    private struct State {
        var lines: [Group: Line] = [:]
        var tickets: UInt64 = 0
        var isClosed = false
    }

    private let state = Mutex(State())
    private let serve: Serve
    private let batch: Int
    private let poll: Duration

    /// A desk that asks `serve`.
    ///
    /// - Parameters:
    ///   - batch: How many claims are tried together at most.
    ///   - poll: How often a group is tried without a hint, give or take a half.
    ///   - serve: Gives one outcome for each wish, in their order.
    init(batch: Int = 32, poll: Duration = .seconds(3), serve: @escaping Serve) {
        self.batch = batch
        self.poll = poll
        self.serve = serve
    }

    /// How many claims wait or are being tried.
    var waiting: Int { state.withLock { $0.lines.values.reduce(0) { $0 + $1.count } } }

    /// Waits for a grant for at most `wait`.
    ///
    /// - Parameters:
    ///   - wish: What is claimed.
    ///   - group: Whose wishes `serve` takes together.
    ///   - wait: How long the claim may wait after its first try.
    ///   - parked: Called before the claim waits for the first time, to make known when it is to be
    ///     abandoned.
    /// - Returns: A grant, the reason for none, or nil where nothing was tried: the desk is closed
    ///   or the claim abandoned.
    /// - Throws: What `serve` throws.
    func claim(
        _ wish: Wish,
        in group: Group,
        wait: Duration,
        parked: (Ticket) async -> Void
    ) async throws -> Outcome? {
        guard let ticket = enter(wish, group, isBrief: wait <= .zero) else { return nil }
        var deadline: ContinuousClock.Instant?
        while true {
            switch await next(ticket, until: deadline) {
            case .done(let result): return try result.get()
            case .lead: await lead(group)
            case .wait:
                await parked(ticket)
                deadline = .now + wait
            }
        }
    }

    /// Says that there may be new tasks.
    func wake() {
        for group in groups { tell(group) { [$0.wake()] } }
    }

    /// Ends one claim whose worker has gone, without a try for it.
    func abandon(_ ticket: Ticket) {
        end(ticket, hasGone: true)
    }

    /// Ends every wait, and lets no claim wait any more.
    func close() {
        state.withLock { $0.isClosed = true }
        for group in groups {
            tell(group) { line in line.tickets.map { line.end($0, hasGone: true) } }
        }
    }

    private var groups: [Group] { state.withLock { Array($0.lines.keys) } }

    // MARK: - Steps

    private func enter(_ wish: Wish, _ group: Group, isBrief: Bool) -> Ticket? {
        let entry = state.withLock { state -> (UInt64, Line.Notice?)? in
            guard !state.isClosed else { return nil }
            state.tickets += 1
            let notice = state.lines[group, default: Line()]
                .enter(state.tickets, wish, isBrief: isBrief)
            return (state.tickets, notice)
        }
        guard let (number, notice) = entry else { return nil }
        if let notice { notice.waiter.resume(returning: notice.step) }
        return Ticket(group: group, number: number)
    }

    /// The claim's next step; with a deadline it also looks by itself now and then.
    private func next(
        _ ticket: Ticket,
        until deadline: ContinuousClock.Instant?
    ) async -> ClaimStep<Grant, Reason> {
        guard let deadline else { return await park(ticket) }
        return await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.watch(ticket, until: deadline) }
            defer { group.cancelAll() }
            return await park(ticket)
        }
    }

    private func park(_ ticket: Ticket) async -> ClaimStep<Grant, Reason> {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                tell(ticket.group) { [$0.park(ticket.number, continuation)] }
            }
        } onCancel: {
            abandon(ticket)
        }
    }

    /// Tries the claim's group every few seconds and ends the claim at its deadline.
    private func watch(_ ticket: Ticket, until deadline: ContinuousClock.Instant) async {
        while true {
            let pause = poll * Double.random(in: 0.5...1.5)
            let moment = min(deadline, .now + pause)
            guard (try? await Task.sleep(until: moment)) != nil else { return }
            guard moment < deadline else { return end(ticket, hasGone: false) }
            tell(ticket.group) { [$0.poll(before: .now - poll / 2)] }
        }
    }

    /// Makes one call for the group.
    private func lead(_ group: Group) async {
        let claims = state.withLock { $0.lines[group]?.beginCall(limit: batch) ?? [] }
        let result: Result<[Outcome], any Error>
        do {
            let outcomes = claims.isEmpty ? [] : try await serve(group, claims.map(\.wish))
            precondition(outcomes.count == claims.count, "Each wish has an outcome")
            result = .success(outcomes)
        } catch is CancellationError {
            // The claim that leads was cancelled; the others may try again.
            result = .failure(CoordinatorProblem(.unavailable, "the claim was interrupted"))
        } catch {
            result = .failure(error)
        }
        tell(group) { $0.finishCall(claims.map(\.ticket), result, now: .now) }
    }

    private func end(_ ticket: Ticket, hasGone: Bool) {
        tell(ticket.group) { [$0.end(ticket.number, hasGone: hasGone)] }
    }

    /// Changes a line under the lock, then tells the claims what that means for them.
    private func tell(_ group: Group, _ change: (inout Line) -> [Line.Notice?]) {
        let notices = state.withLock { state in
            let notices = change(&state.lines[group, default: Line()])
            if state.lines[group]?.isEmpty == true { state.lines[group] = nil }
            return notices
        }
        for case let notice? in notices { notice.waiter.resume(returning: notice.step) }
    }
}
