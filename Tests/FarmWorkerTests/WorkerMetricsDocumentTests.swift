import FarmWorker
import Foundation
import Prometheus
import Testing

@Suite("docs/metrics.md lists the series that a worker has") struct WorkerMetricsDocumentTests {
    /// The lines of the section of a worker's series.
    private func section() throws -> [Substring] {
        let root = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(contentsOf: root.appending(path: "docs/metrics.md"), encoding: .utf8)
        let lines = text.split(separator: "\n").drop { $0 != "## Series of a worker" }.dropFirst()
        return Array(lines.prefix { !$0.hasPrefix("## ") })
    }

    /// A row as the document writes it.
    private func row(_ family: any MetricFamily) -> String {
        let description = family.description
        var labels = description.labels.map { label in
            // The version would make the document old with each release.
            guard description.kind != .info else { return "`\(label.name)`" }
            return "`\(label.name)`: " + label.known.map { "`\($0)`" }.joined(separator: ", ")
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
        let expected = WorkerMetrics().families.map(row)
        let rows = try section().filter { $0.hasPrefix("| `") }
        let text = expected.joined(separator: "\n")
        #expect(rows.map(String.init) == expected, "the table has to be:\n\(text)")
    }
}
