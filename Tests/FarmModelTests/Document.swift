import Foundation
import Testing

/// A document of `docs/`, cut at its headings of the second level.
struct Document {
    /// The text under each heading, by the heading's words.
    private let sections: [String: String]

    init(_ name: String) throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(contentsOf: root.appending(path: "docs/\(name)"), encoding: .utf8)
        var sections: [String: String] = [:]
        for section in text.split(separator: "\n## ").dropFirst() {
            let lines = section.split(separator: "\n", maxSplits: 1)
            sections[String(lines[0])] = lines.count > 1 ? String(lines[1]) : ""
        }
        self.sections = sections
    }

    /// The text under a heading.
    func section(_ heading: String) throws -> String {
        try #require(sections[heading], "the document has no section '\(heading)'")
    }

    /// The cells of the first table under a heading, row by row, without its head.
    func table(_ heading: String) throws -> [[String]] {
        let lines = try section(heading).split(separator: "\n", omittingEmptySubsequences: false)
        let table = lines.drop { !$0.hasPrefix("|") }.prefix { $0.hasPrefix("|") }
        return table.dropFirst(2).map { line in
            line.split(separator: "|", omittingEmptySubsequences: false).dropFirst().dropLast()
                .map { $0.trimmingCharacters(in: .whitespaces) }
        }
    }
}

extension String {
    /// What stands between the marks of code in a line, mark by mark.
    var codes: [String] {
        split(separator: "`", omittingEmptySubsequences: false).enumerated()
            .filter { $0.offset % 2 == 1 }.map { String($0.element) }
    }
}
