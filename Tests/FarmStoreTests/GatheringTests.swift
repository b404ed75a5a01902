@testable import FarmStore
@testable import Postgres
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1))) struct GatheringTests {
    private final class Log: Sendable {
        private let sizes = Mutex<[Int]>([])

        var batches: [Int] { sizes.withLock { $0 } }

        @Sendable func perform(_ items: [Int]) async throws -> [Result<Int, any Error>] {
            sizes.withLock { $0.append(items.count) }
            return items.map { .success($0 * 2) }
        }
    }

    /// Asks for all items at the same time, and returns the answers by item.
    private func ask(
        _ gathering: Gathering<Int, Int>,
        _ items: Range<Int>,
        _ log: Log
    ) async throws -> [Int: Int] {
        try await withThrowingTaskGroup { group in
            for item in items {
                group.addTask {
                    (item, try await gathering.answer(to: item, perform: log.perform))
                }
            }
            return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
    }

    @Test("a lone call goes at once, however long batches are to be apart")
    func alone() async throws {
        let log = Log()
        let gathering = Gathering<Int, Int>(width: 1, limit: 8, interval: .seconds(3600))
        #expect(try await gathering.answer(to: 4, perform: log.perform) == 8)
        #expect(log.batches == [1])
    }

    @Test("calls that come too soon after a batch share the next one, each with its own answer")
    func shared() async throws {
        let log = Log()
        let gathering = Gathering<Int, Int>(width: 2, limit: 8, interval: .milliseconds(500))
        _ = try await gathering.answer(to: 0, perform: log.perform)
        let answers = try await ask(gathering, 1..<6, log)
        #expect(answers == [1: 2, 2: 4, 3: 6, 4: 8, 5: 10])
        #expect(log.batches == [1, 5])
    }

    @Test("a full batch does not wait for its time")
    func full() async throws {
        let log = Log()
        let gathering = Gathering<Int, Int>(width: 2, limit: 3, interval: .seconds(3600))
        _ = try await gathering.answer(to: 0, perform: log.perform)
        // Whichever waited for its time would be here in an hour.
        _ = try await ask(gathering, 1..<31, log)
        #expect(log.batches == [1] + Array(repeating: 3, count: 10))
    }

    @Test("what is refused in a batch is tried again alone, what has its answer is not")
    func refused() async throws {
        let tries = Mutex<[Int: Int]>([:])
        let deadlock = DatabaseError(sqlState: "40P01", message: "deadlock detected")
        let perform: Gathering<Int, Int>.Perform = { items in
            tries.withLock { tries in for item in items { tries[item, default: 0] += 1 } }
            return items.map { item in
                item == 3 && items.count > 1 ? .failure(deadlock) : .success(item * 2)
            }
        }
        let gathering = Gathering<Int, Int>(width: 1, limit: 8, interval: .milliseconds(500))
        _ = try await gathering.answer(to: 0, perform: perform)
        let answers = try await withThrowingTaskGroup { group in
            for item in 1..<5 {
                group.addTask { (item, try await gathering.answer(to: item, perform: perform)) }
            }
            return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
        #expect(answers == [1: 2, 2: 4, 3: 6, 4: 8])
        #expect(tries.withLock { $0 } == [0: 1, 1: 1, 2: 1, 3: 2, 4: 1])
    }
}
