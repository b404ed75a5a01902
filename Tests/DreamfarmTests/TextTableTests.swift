import Testing

@testable import dreamfarm

@Suite("Tables of text")
struct TextTableTests {
    @Test("columns are as wide as their widest cell, lines end without blanks")
    func widths() {
        var table = TextTable("NAME", "N", "NOTE")
        table.add("a", "1000", "")
        table.add("longer", "2", "é")
        #expect(table.lines == ["NAME    N     NOTE", "a       1000", "longer  2     é"])
    }

    @Test("a table without rows has no lines")
    func empty() {
        #expect(TextTable("NAME").lines.isEmpty)
    }
}
