/// What a try at a claim came to.
enum ClaimOutcome<Grant: Sendable, Reason: Sendable>: Sendable {
    case granted(Grant)
    /// Nothing now, and why; the claim waits on.
    case nothing(Reason)
    /// The claim is wrong and does not wait.
    case refused(CoordinatorProblem)
}

/// What one claim does next.
enum ClaimStep<Grant: Sendable, Reason: Sendable>: Sendable {
    /// It makes the next call for its line.
    case lead
    /// Its first try gave nothing; from now on it waits.
    case wait
    /// It is over; nil where it was ended before anything was known.
    case done(Result<ClaimOutcome<Grant, Reason>?, any Error>)
}

/// The claims of one group that wait, in the order in which they came, without any I/O.
///
/// A claim is *due* when it is to be tried. At most one of the claims leads: it makes one call for
/// the first of those that are due, itself among them or not, and hands the lead on.
struct ClaimLine<Wish: Sendable, Grant: Sendable, Reason: Sendable> {
    typealias Step = ClaimStep<Grant, Reason>
    typealias Outcome = ClaimOutcome<Grant, Reason>
    /// Who is to be told what, once the lock is released.
    typealias Notice = (waiter: CheckedContinuation<Step, Never>, step: Step)

    private struct Entry {
        let ticket: UInt64
        let wish: Wish
        /// Due, since so many calls had begun.
        var dueSince: UInt64?
        /// Part of the call that is under way.
        var isServed = false
        /// Ends after its next call, or at once where it is not due.
        var isOver: Bool
        /// Why there was nothing at its last try.
        var reason: Reason?
        var waiter: CheckedContinuation<Step, Never>?
        /// Said before it waited.
        var step: Step?

        /// Whether it was told how it ended, and has not heard it yet: nothing may be told it any more.
        var isDone: Bool { if case .done? = step { true } else { false } }
    }

    private var entries: [Entry] = []
    private var isLed = false
    private var calls: UInt64 = 0
    private var lastCall: ContinuousClock.Instant?

    /// How many claims wait or are tried.
    var count: Int { entries.count }
    var isEmpty: Bool { entries.isEmpty }
    var tickets: [UInt64] { entries.map(\.ticket) }

    init() {}

    /// Adds a claim, due at once; `isBrief` for one that does not wait beyond its first try.
    mutating func enter(_ ticket: UInt64, _ wish: Wish, isBrief: Bool) -> Notice? {
        entries.append(Entry(ticket: ticket, wish: wish, dueSince: calls, isOver: isBrief))
        return appointLeader()
    }

    /// Lets a claim wait, or returns what it was told before.
    mutating func park(
        _ ticket: UInt64,
        _ waiter: CheckedContinuation<Step, Never>
    ) -> Notice? {
        guard let index = index(of: ticket) else { return (waiter, .done(.success(nil))) }
        guard let step = entries[index].step else {
            entries[index].waiter = waiter
            let isDone = entries[index].isOver && entries[index].dueSince == nil
            guard isDone, !entries[index].isServed else { return appointLeader() }
            return tell(index, .done(.success(entries[index].reason.map { .nothing($0) })))
        }
        entries[index].step = nil
        if case .done = step { entries.remove(at: index) }
        return (waiter, step)
    }

    /// Makes every claim due and appoints a leader where there is none.
    mutating func wake() -> Notice? {
        for index in entries.indices where !entries[index].isOver && !entries[index].isDone {
            entries[index].dueSince = calls
        }
        return appointLeader()
    }

    /// As ``wake()``, where no call was made since `instant`.
    mutating func poll(before instant: ContinuousClock.Instant) -> Notice? {
        if let lastCall, lastCall > instant { return nil }
        return wake()
    }

    /// Ends a claim's wait; one that was not tried yet is tried first unless its worker has gone.
    mutating func end(_ ticket: UInt64, hasGone: Bool) -> Notice? {
        guard let index = index(of: ticket) else { return nil }
        entries[index].isOver = true
        let isUntried = entries[index].reason == nil && entries[index].dueSince != nil
        if hasGone || !isUntried { entries[index].dueSince = nil }
        guard entries[index].dueSince == nil, !entries[index].isServed,
            entries[index].step == nil, entries[index].waiter != nil
        else { return nil }
        return tell(index, .done(.success(entries[index].reason.map { .nothing($0) })))
    }

    // MARK: - Calls

    /// The wishes of the next call: the first claims that are due, at most `limit`.
    mutating func beginCall(limit: Int) -> [(ticket: UInt64, wish: Wish)] {
        calls += 1
        var batch: [(UInt64, Wish)] = []
        for index in entries.indices where entries[index].dueSince != nil {
            guard batch.count < limit else { break }
            entries[index].dueSince = nil
            entries[index].isServed = true
            batch.append((entries[index].ticket, entries[index].wish))
        }
        return batch
    }

    /// Notes what a call came to and hands the lead on.
    ///
    /// A call that gave no claim anything says that there is nothing more for this line: claims that
    /// were due before it began sleep on.
    mutating func finishCall(
        _ tickets: [UInt64],
        _ result: Result<[Outcome], any Error>,
        now: ContinuousClock.Instant
    ) -> [Notice] {
        lastCall = now
        var notices: [Notice] = []
        var shortage: Reason?
        var isFruitful = false
        for (position, ticket) in tickets.enumerated() {
            guard let index = index(of: ticket) else { continue }
            entries[index].isServed = false
            switch result {
            case .failure(let error): notices.append(tell(index, .done(.failure(error))))
            case .success(let outcomes):
                if case .nothing(let reason) = outcomes[position] {
                    shortage = reason
                    notices.append(sleep(index, reason))
                } else {
                    if case .granted = outcomes[position] { isFruitful = true }
                    notices.append(tell(index, .done(.success(outcomes[position]))))
                }
            }
        }
        if let shortage, !isFruitful {
            for index in entries.indices {
                guard let since = entries[index].dueSince, since < calls else { continue }
                entries[index].dueSince = nil
                notices.append(sleep(index, entries[index].reason ?? shortage))
            }
        }
        notices.append(endThoseOver())
        isLed = false
        if let leader = appointLeader() { notices.append([leader]) }
        return notices
    }

    /// Notes why there was nothing for a claim; one that was not tried before begins to wait.
    private mutating func sleep(_ index: Int, _ reason: Reason) -> Notice? {
        let isFirst = entries[index].reason == nil
        entries[index].reason = reason
        guard isFirst, !entries[index].isOver else { return nil }
        return tell(index, .wait)
    }

    /// Ends the claims whose wait was over during the call.
    private mutating func endThoseOver() -> [Notice] {
        let over = entries.filter { $0.isOver && $0.dueSince == nil && $0.step == nil }
        return over.compactMap { entry in
            index(of: entry.ticket).flatMap {
                tell($0, .done(.success(entry.reason.map { .nothing($0) })))
            }
        }
    }

    // MARK: - Telling

    /// Gives the lead to the first claim that is due, where nobody has it.
    private mutating func appointLeader() -> Notice? {
        guard !isLed,
            let index = entries.firstIndex(where: { $0.dueSince != nil && $0.step == nil })
        else { return nil }
        isLed = true
        return tell(index, .lead)
    }

    /// Tells a claim its next step, now or as soon as it waits; one that is over leaves the line.
    private mutating func tell(_ index: Int, _ step: Step) -> Notice? {
        guard let waiter = entries[index].waiter else {
            entries[index].step = step
            // A hint may have come during its call.
            if entries[index].isDone { entries[index].dueSince = nil }
            return nil
        }
        entries[index].waiter = nil
        if case .done = step { entries.remove(at: index) }
        return (waiter, step)
    }

    private func index(of ticket: UInt64) -> Int? {
        // Tickets are numbered in the order in which they come.
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].ticket < ticket { low = middle + 1 } else { high = middle }
        }
        return low < entries.count && entries[low].ticket == ticket ? low : nil
    }
}

extension Array {
    /// Appends an element where there is one.
    fileprivate mutating func append(_ element: Element?) {
        if let element { append(element) }
    }

    /// Appends the elements of another array.
    fileprivate mutating func append(_ elements: [Element]) {
        append(contentsOf: elements)
    }
}
