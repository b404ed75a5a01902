import FarmModel

/// A list that the coordinator gives page by page, fetched as it is read.
package struct PagedList<Item: Codable & Sendable>: AsyncSequence, Sendable {
    /// Fetches the page behind a cursor; nil is the first.
    let fetch: @Sendable (_ after: String?) async throws -> Page<Item>

    package struct AsyncIterator: AsyncIteratorProtocol {
        let fetch: @Sendable (_ after: String?) async throws -> Page<Item>
        private var items: [Item] = []
        private var cursor: String?
        private var isLastPage = false

        init(fetch: @escaping @Sendable (_ after: String?) async throws -> Page<Item>) {
            self.fetch = fetch
        }

        package mutating func next() async throws -> Item? {
            while items.isEmpty, !isLastPage {
                let page = try await fetch(cursor)
                items = page.items.reversed()
                cursor = page.next
                isLastPage = page.next == nil
            }
            return items.popLast()
        }
    }

    package func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(fetch: fetch)
    }

    /// The first `limit` items, or all.
    package func all(limit: Int = .max) async throws -> [Item] {
        var items: [Item] = []
        for try await item in self {
            guard items.count < limit else { break }
            items.append(item)
        }
        return items
    }
}

extension CoordinatorClient {
    /// A list at a path, narrowed by what is not nil.
    func list<Item>(
        _ path: String,
        _ query: [(String, String?)] = []
    ) -> PagedList<Item> {
        PagedList { after in
            try await call("GET", Self.path(path, query + [("after", after)]))
        }
    }

    /// A path with those parts of a query that are not nil.
    static func path(_ path: String, _ query: [(String, String?)]) -> String {
        let parts = query.compactMap { name, value in
            value.map { "\(name)=\(URLText.encode($0))" }
        }
        return parts.isEmpty ? path : path + "?" + parts.joined(separator: "&")
    }
}
