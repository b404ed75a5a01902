import BlobStore
import FarmStore
import Foundation
import Postgres
import Prometheus
import Testing

@testable import FarmCoordinator

@Suite("docs/metrics.md lists the series that the code has") struct MetricsDocumentTests {
    private func withAPI<Value>(_ body: (CoordinatorAPI) throws -> Value) throws -> Value {
        let folder = FileManager.default.temporaryDirectory.path + "/metrics-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        // Nothing connects: a pool does so at its first statement.
        return try body(
            CoordinatorAPI(
                store: FarmStore(pool: PostgresPool(PostgresConfiguration(conninfo: ""))),
                blobs: try FolderBlobStore(folder: folder),
                admin: "a-token-for-tests"
            )
        )
    }

    private func document() throws -> String {
        let root = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        return try String(contentsOf: root.appending(path: "docs/metrics.md"), encoding: .utf8)
    }

    /// A row as the document writes it.
    private func row(_ family: any MetricFamily) -> String {
        let description = family.description
        var labels = description.labels.map { label in
            // The version would make the document old with each release.
            guard description.kind != .info else { return "`\(label.name)`" }
            var values = label.known.map { "`\($0)`" }
            if label.isOpen { values.append("others") }
            return "`\(label.name)`: " + values.joined(separator: ", ")
        }
        if let histogram = family as? Histogram {
            let bounds = histogram.bounds.map { "`\($0)`" } + ["`+Inf`"]
            labels.append("`le`: " + bounds.joined(separator: ", "))
        }
        return "| `\(description.name)` | \(description.kind.rawValue) | \(description.unit) | "
            + "\(description.help) | \(labels.joined(separator: "; ")) |"
    }

    @Test("the table of series is the code's, row by row")
    func table() throws {
        let expected = try withAPI { $0.metrics.families.map(row) }
        let lines = try document().split(separator: "\n").drop { $0 != "## Series" }.dropFirst()
        let rows = lines.prefix { !$0.hasPrefix("## ") }.filter { $0.hasPrefix("| `") }
        let text = expected.joined(separator: "\n")
        #expect(rows.map(String.init) == expected, "the table has to be:\n\(text)")
    }

    @Test("the list of routes is the code's")
    func routes() throws {
        let paths = try withAPI { Set(CoordinatorAPI.declarations(of: $0).map(\.path)).sorted() }
        let expected = paths.map { "- `\($0)`" }
        let lines = try document().split(separator: "\n").filter { $0.hasPrefix("- `/") }
        let text = expected.joined(separator: "\n")
        #expect(lines.map(String.init) == expected, "the list has to be:\n\(text)")
    }
}
