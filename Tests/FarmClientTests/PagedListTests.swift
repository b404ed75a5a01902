import FarmModel
import Synchronization
import Testing

@testable import FarmClient

@Suite("Lists that come page by page")
struct PagedListTests {
    /// The cursors that were asked for.
    private final class Asked: Sendable {
        private let list = Mutex<[String?]>([])
        var cursors: [String?] { list.withLock { $0 } }
        func note(_ cursor: String?) { list.withLock { $0.append(cursor) } }
    }

    /// Pages of `size` numbers below `count`; an empty page stands in the middle.
    private func list(_ count: Int, size: Int, asked: Asked) -> PagedList<Int> {
        PagedList { after in
            asked.note(after)
            let begin = after.flatMap { Int($0) } ?? 0
            let end = min(begin + size, count)
            return Page(items: Array(begin..<end), next: end < count ? "\(end)" : nil)
        }
    }

    @Test("every item comes once, in order", arguments: [0, 1, 3, 4, 9], [1, 3, 100])
    func all(count: Int, size: Int) async throws {
        let asked = Asked()
        let items = try await list(count, size: size, asked: asked).all()
        #expect(items == Array(0..<count))
        #expect(asked.cursors.count == max(1, (count + size - 1) / size))
    }

    @Test("no page is fetched that is not needed")
    func lazily() async throws {
        let asked = Asked()
        let items = try await list(100, size: 10, asked: asked).all(limit: 15)
        #expect(items == Array(0..<15))
        #expect(asked.cursors == [nil, "10"])
    }

    @Test("a page without items is not the end")
    func emptyPage() async throws {
        let list = PagedList<Int> { after in
            after == nil ? Page(items: [], next: "x") : Page(items: [1], next: nil)
        }
        #expect(try await list.all() == [1])
    }

    @Test("a query has only what was given, encoded")
    func query() {
        #expect(CoordinatorClient.path("/v1/jobs", [("state", nil), ("owner", nil)]) == "/v1/jobs")
        #expect(
            CoordinatorClient.path("/v1/jobs", [("state", nil), ("owner", "a b&c")])
                == "/v1/jobs?owner=a%20b%26c"
        )
    }
}
