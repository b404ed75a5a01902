import ArgumentParser
import FarmModel
import FoundationEssentials
import Testing

@testable import dreamfarm

@Suite("What the audit is exported as")
struct AuditExportTests {
    private func record(actor: String, target: String) -> AuditView {
        AuditView(
            number: 7,
            at: Date(timeIntervalSince1970: 0),
            actor: actor,
            action: "job.cancelled",
            target: target,
            detail: .mapping(["mode": .string("now")])
        )
    }

    @Test("a row has a cell for each word of the heading, quoted where it has to be")
    func row() throws {
        let row = try AuditTable.row(record(actor: "ann, \"the\" first", target: "a\r\nb"))
        #expect(
            row == "7,1970-01-01T00:00:00.000Z,\"ann, \"\"the\"\" first\",job.cancelled,"
                + "\"a\r\nb\",,\"{\"\"mode\"\":\"\"now\"\"}\""
        )
        #expect(AuditTable.heading.split(separator: ",").count == 7)
    }

    @Test("a name is no formula", arguments: ["=1+1", "+1", "-1", "@a"])
    func formula(name: String) throws {
        let row = try AuditTable.row(record(actor: name, target: "t"))
        #expect(row.contains(",'\(name),"))
    }

    @Test("a filter is written as the query that the coordinator reads")
    func filter() throws {
        var options = try AuditOptions.parse(["--actor", "ann", "--since", "2026-11-29T08:00:00Z"])
        let query = options.filter.query.compactMap { key, value in value.map { "\(key)=\($0)" } }
        #expect(query == ["actor=ann", "since=2026-11-29T08:00:00.000Z"])
        #expect(Set(options.filter.query.map(\.0)) == Set(AuditFilter.queryKeys))
        options.since = nil
        #expect(options.filter.since == nil)
        #expect(throws: (any Error).self) { try AuditOptions.parse(["--since", "yesterday"]) }
    }

    @Test(
        "how long something is kept is read and written alike",
        arguments: [
            ("720h", "720h"), ("90m", "90m"), ("3600s", "1h"), ("0.5", "0.5s"), ("0", "0s"),
        ]
    )
    func keptTime(text: String, written: String) throws {
        let seconds = try #require(KeptTime.seconds(text))
        #expect(KeptTime.text(seconds) == written)
        #expect(KeptTime.seconds(written) == seconds)
        #expect(KeptTime.text(.infinity) == "forever")
        #expect(KeptTime.seconds("forever") == .infinity)
        #expect(KeptTime.seconds("inf") == nil && KeptTime.seconds("-1s") == nil)
    }
}
