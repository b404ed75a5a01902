import FarmModel
import Synchronization
import Testing

@testable import FarmCoordinator

@Suite(.timeLimit(.minutes(1))) struct ClaimDeskTests {
    private typealias Desk = ClaimDesk<String, Int, Int, String>

    /// A source of tasks that the test fills, which notes each call.
    private final class Source: Sendable {
        private struct State {
            var tasks: [Int]
            var calls: [[Int]] = []
        }

        private let state: Mutex<State>
        private let called: AsyncStream<Int>.Continuation
        /// How many calls were made, one element a call.
        let calls: AsyncStream<Int>

        init(tasks: [Int] = []) {
            state = Mutex(State(tasks: tasks))
            (calls, called) = AsyncStream.makeStream()
        }

        func put(_ tasks: [Int]) { state.withLock { $0.tasks += tasks } }

        var batches: [[Int]] { state.withLock { $0.calls } }

        func serve(_ wishes: [Int]) -> [Desk.Outcome] {
            let (outcomes, count) = state.withLock { state in
                state.calls.append(wishes)
                let outcomes = wishes.map { _ -> Desk.Outcome in
                    state.tasks.isEmpty ? .nothing("empty") : .granted(state.tasks.removeFirst())
                }
                return (outcomes, state.calls.count)
            }
            called.yield(count)
            return outcomes
        }
    }

    private func desk(_ source: Source, batch: Int = 32) -> Desk {
        // A poll that never comes within a test: what wakes a claim is the hint.
        Desk(batch: batch, poll: .seconds(3600)) { _, wishes in source.serve(wishes) }
    }

    private func granted(_ outcome: Desk.Outcome?) -> Int? {
        if case .granted(let task)? = outcome { task } else { nil }
    }

    private func reason(_ outcome: Desk.Outcome?) -> String? {
        if case .nothing(let reason)? = outcome { reason } else { nil }
    }

    /// Waits until so many claims wait.
    private func parked(_ count: Int, _ stream: AsyncStream<Void>) async {
        var iterator = stream.makeAsyncIterator()
        for _ in 0..<count { await iterator.next() }
    }

    @Test("a claim that finds a task does not wait")
    func atOnce() async throws {
        let source = Source(tasks: [7])
        let outcome = try await desk(source).claim(1, in: "g", wait: .seconds(60)) { _ in
            Issue.record("the claim waited")
        }
        #expect(granted(outcome) == 7)
    }

    @Test("a claim that may not wait is tried once and told why there is nothing")
    func brief() async throws {
        let source = Source()
        let desk = desk(source)
        let outcome = try await desk.claim(1, in: "g", wait: .zero) { _ in }
        #expect(reason(outcome) == "empty")
        #expect(source.batches == [[1]])
        #expect(desk.waiting == 0)
    }

    @Test("a hint wakes a claim that waits, and no claim is asked for before it")
    func wake() async throws {
        let source = Source()
        let desk = desk(source)
        let (stream, continuation) = AsyncStream<Void>.makeStream()
        async let outcome = desk.claim(1, in: "g", wait: .seconds(60)) { _ in continuation.yield() }
        await parked(1, stream)
        #expect(source.batches == [[1]])
        source.put([5])
        desk.wake()
        #expect(granted(try await outcome) == 5)
        #expect(source.batches == [[1], [1]])
    }

    @Test("claims that wait together are tried together, and no more of them than find tasks")
    func together() async throws {
        let source = Source()
        let desk = desk(source, batch: 4)
        let (stream, continuation) = AsyncStream<Void>.makeStream()
        let outcomes = try await withThrowingTaskGroup(of: Int?.self) { group in
            for number in 0..<10 {
                group.addTask {
                    let outcome = try await desk.claim(number, in: "g", wait: .seconds(60)) { _ in
                        continuation.yield()
                    }
                    if case .granted(let task)? = outcome { return task }
                    return nil
                }
            }
            await parked(10, stream)
            let before = source.batches.count
            source.put([0, 1, 2])
            desk.wake()
            var found: [Int] = []
            for _ in 0..<3 {
                let task = try await group.next() ?? nil
                found.append(try #require(task))
            }
            #expect(found.sorted() == [0, 1, 2])
            // Four claims, three tasks; the next four find nothing and the rest sleeps on.
            var calls = source.calls.makeAsyncIterator()
            while let count = await calls.next(), count < before + 2 {}
            #expect(source.batches.dropFirst(before).map(\.count) == [4, 4])
            desk.close()
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.compactMap(\.self).isEmpty)
        #expect(desk.waiting == 0)
    }

    @Test("a claim that is abandoned ends without a try")
    func abandon() async throws {
        let source = Source()
        let desk = desk(source)
        let (stream, continuation) = AsyncStream<Desk.Ticket>.makeStream()
        async let outcome = desk.claim(1, in: "g", wait: .seconds(60)) { continuation.yield($0) }
        var tickets = stream.makeAsyncIterator()
        let ticket = try #require(await tickets.next())
        source.put([5])
        desk.abandon(ticket)
        #expect(granted(try await outcome) == nil)
        desk.wake()
        #expect(source.batches == [[1]])
        #expect(desk.waiting == 0)
    }

    @Test("a claim whose task is cancelled leaves the desk")
    func cancelled() async throws {
        let desk = desk(Source())
        let (stream, continuation) = AsyncStream<Void>.makeStream()
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                _ = try? await desk.claim(1, in: "g", wait: .seconds(60)) { _ in
                    continuation.yield()
                }
            }
            await parked(1, stream)
            group.cancelAll()
        }
        #expect(desk.waiting == 0)
    }

    @Test("a desk that is closed ends the waits and lets none begin")
    func close() async throws {
        let desk = desk(Source())
        let (stream, continuation) = AsyncStream<Void>.makeStream()
        async let outcome = desk.claim(1, in: "g", wait: .seconds(60)) { _ in continuation.yield() }
        await parked(1, stream)
        desk.close()
        #expect(reason(try await outcome) == "empty")
        #expect(try await desk.claim(2, in: "g", wait: .seconds(60)) { _ in } == nil)
    }

    @Test("what the source throws reaches every claim of the call")
    func failure() async throws {
        struct Broken: Error {}
        let desk = Desk(poll: .seconds(3600)) { _, _ in throw Broken() }
        await #expect(throws: Broken.self) {
            try await desk.claim(1, in: "g", wait: .seconds(60)) { _ in }
        }
        #expect(desk.waiting == 0)
    }

    @Test("groups are tried apart")
    func groups() async throws {
        let seen = Mutex<Set<String>>([])
        let desk = Desk(poll: .seconds(3600)) { group, wishes in
            seen.withLock { _ = $0.insert(group) }
            return wishes.map { _ in group == "a" ? .granted(1) : .nothing("empty") }
        }
        let first = try await desk.claim(1, in: "a", wait: .zero) { _ in }
        let second = try await desk.claim(2, in: "b", wait: .zero) { _ in }
        #expect(granted(first) == 1)
        #expect(reason(second) == "empty")
        #expect(seen.withLock { $0 } == ["a", "b"])
    }

    @Test("what a claim was granted and has not heard of yet is not replaced by another grant")
    func unheard() async {
        var line = ClaimLine<Int, Int, String>()
        #expect(line.enter(1, 1, isBrief: false) == nil)
        #expect(line.beginCall(limit: 8).map(\.ticket) == [1])
        // Hints come while it is served, and before it hears.
        #expect(line.wake() == nil)
        let notices = line.finishCall([1], .success([.granted(7)]), now: .now)
        #expect(notices.isEmpty)
        #expect(line.wake() == nil)
        #expect(line.enter(2, 2, isBrief: false) == nil)
        #expect(line.beginCall(limit: 8).map(\.ticket) == [2])
        _ = line.finishCall([2], .success([.nothing("empty")]), now: .now)
        let step = await withCheckedContinuation { waiter in
            guard let notice = line.park(1, waiter) else { return }
            notice.waiter.resume(returning: notice.step)
        }
        guard case .done(.success(.granted(let task)?)) = step else {
            Issue.record("told \(step)")
            return
        }
        #expect(task == 7)
    }

    @Test("of many claims and tasks at once each task is granted once")
    func storm() async throws {
        let source = Source()
        let desk = desk(source, batch: 8)
        let tasks = Array(0..<400)
        let found = try await withThrowingTaskGroup(of: Int?.self) { group in
            for number in 0..<400 {
                group.addTask {
                    let outcome = try await desk.claim(number, in: "g", wait: .seconds(50)) { _ in }
                    if case .granted(let task)? = outcome { return task }
                    return nil
                }
            }
            for start in stride(from: 0, to: 400, by: 20) {
                source.put(Array(tasks[start..<(start + 20)]))
                desk.wake()
                await Task.yield()
            }
            return try await group.reduce(into: [Int]()) { if let task = $1 { $0.append(task) } }
        }
        #expect(found.sorted() == tasks)
        #expect(desk.waiting == 0)
    }
}
