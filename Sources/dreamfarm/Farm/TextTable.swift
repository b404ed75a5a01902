import FarmModel
import Imaging

/// Rows of text under a heading, each column as wide as its widest cell.
struct TextTable {
    private let heading: [String]
    private var rows: [[String]] = []

    init(_ heading: String...) {
        self.heading = heading
    }

    mutating func add(_ cells: String...) {
        rows.append(cells)
    }

    /// The lines, without blanks at their ends.
    var lines: [String] {
        guard !rows.isEmpty else { return [] }
        let all = [heading] + rows
        let widths = heading.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        return all.map { cells in
            var line = ""
            for (cell, width) in zip(cells, widths) {
                line += cell + String(repeating: " ", count: width - cell.count + 2)
            }
            while line.last == " " { line.removeLast() }
            return line
        }
    }
}

extension FarmOptions {
    /// Prints a list as one JSON array, or as a table; an empty table says what there is none of.
    func show<Item: Encodable>(_ items: [Item], _ table: TextTable, none: String) throws {
        switch format {
        case .json: print(try FarmJSON.text(items))
        case .text:
            if items.isEmpty { StandardError.write("\(none)\n") }
            for line in table.lines { print(shown(line)) }
        }
    }

    /// Prints one thing as JSON or as lines.
    func show(_ item: some Encodable, _ lines: String...) throws {
        switch format {
        case .json: print(try FarmJSON.text(item))
        case .text: for line in lines { print(shown(line)) }
        }
    }
}
