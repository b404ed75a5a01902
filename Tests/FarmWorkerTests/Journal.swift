import FarmWorker

/// What happened, in order, on which tests wait.
final class Journal: Sendable {
    private let lines = Watched<[String]>([])

    /// Everything so far.
    var all: [String] { lines.read { $0 } }

    func write(_ line: String) {
        lines.update { $0.append(line) }
    }

    /// Waits until `line` was written so many times.
    func wait(for line: String, count: Int = 1) async throws {
        try await lines.wait { lines in
            lines.count { $0 == line } >= count ? () : nil
        }
    }

    /// Where `line` was first written.
    func place(of line: String) -> Int? {
        all.firstIndex(of: line)
    }

    /// How often `line` was written.
    func count(of line: String) -> Int {
        all.count { $0 == line }
    }

    /// Whether `first` was written before `second`, and both were.
    func has(_ first: String, before second: String) -> Bool {
        guard let first = place(of: first), let second = place(of: second) else { return false }
        return first < second
    }
}
