import FoundationEssentials

/// What a benchmark measured, as one line of JSON.
protocol BenchResult: Encodable {}

extension BenchResult {
    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }
}
