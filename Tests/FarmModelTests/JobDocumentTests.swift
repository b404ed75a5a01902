import Testing

@testable import FarmModel

@Suite("docs/job.md lists the keys that a job is read with")
struct JobDocumentTests {
    /// The keys in the first column of a section's table.
    private func keys(_ heading: String) throws -> [String] {
        try Document("job.md").table(heading).flatMap { $0[0].codes }
    }

    /// The keys that a section says are refused, as a line of its own.
    private func refused(_ heading: String) throws -> [String] {
        let lines = try Document("job.md").section(heading).split(separator: "\n")
        return String(try #require(lines.first { $0.hasPrefix("Refused as not supported yet:") }))
            .codes
    }

    @Test("at the top")
    func top() throws {
        #expect(try keys("Top level") == JobSpecification.keys)
        #expect(try refused("Top level") == JobSpecification.laterKeys)
    }

    @Test("under parameters and render")
    func parameters() throws {
        let rows = try Document("job.md").table("Parameters")
        let documented = rows.map { [$0[0], $0[3]] }.sorted { $0[0] < $1[0] }
        let known = Parameter.allCases.map { ["`\($0.rawValue)`", $0.isRenderKey ? "yes" : "no"] }
        #expect(documented == known.sorted { $0[0] < $1[0] })
        let guidance = try #require(rows.first { $0[0] == "`true_cfg`" })
        #expect(guidance[1].codes == ParameterReader.trueGuidanceKeys)
    }

    @Test("of a reference")
    func references() throws {
        #expect(try keys("References") == ParameterReader.referenceKeys)
        let rows = try Document("job.md").table("References")
        let task = try #require(rows.first { $0[0] == "`task`" })
        #expect(task[1].codes == ConditionTask.allCases.map(\.rawValue))
    }

    @Test("under output and limits")
    func outputAndLimits() throws {
        let known =
            JobSpecification.outputKeys.map { "output.\($0)" }
            + JobSpecification.limitKeys.map { "limits.\($0)" }
        #expect(try keys("Output and limits") == known)
        let later = JobSpecification.laterLimitKeys.map { "limits.\($0)" }
        #expect(try refused("Output and limits") == later)
    }

    @Test("a refused key is refused as not supported yet", arguments: JobSpecification.laterKeys)
    func later(key: String) {
        let error = #expect(throws: JobSpecificationError.self) {
            _ = try JobSpecification(parsing: "parameters: {prompt: a}\n\(key): 1")
        }
        #expect(error?.problems.map(\.path) == [key])
    }
}
