import Testing

@testable import FarmModel

@Suite("docs/job.md is the table of the keys that a job is read with")
struct JobDocumentTests {
    /// A row as the document writes it.
    private static func row(_ key: SpecificationKey) -> String {
        "| `\(key.path)` | \(key.type) | \(key.standard) |\(key.isAxis ? " yes" : "") |"
    }

    @Test("the document's table is the code's, row by row")
    func table() throws {
        let lines = try Document("job.md").section("Every key").split(separator: "\n")
        let rows = lines.filter { $0.hasPrefix("| `") }.map(String.init)
        let expected = SpecificationKey.all.map(Self.row)
        let text = expected.joined(separator: "\n")
        #expect(rows == expected, "the table has to be:\n\(text)")
    }

    @Test("each key of the table is read, and another one beside it is not")
    func keys() throws {
        let parents = Set(SpecificationKey.all.map(Self.parent))
        for parent in parents {
            let names = SpecificationKey.names(under: parent)
            #expect(!names.isEmpty, "\(parent)")
            let error = #expect(throws: JobSpecificationError.self) {
                _ = try JobSpecification(document: Self.document(with: "zzz", under: parent))
            }
            let paths = error?.problems.filter { $0.message.contains("not a known key") } ?? []
            #expect(paths.count == 1 && paths[0].path.hasSuffix("zzz"), "\(parent): \(paths)")
        }
    }

    @Test("the axes of the table are those of the code")
    func axes() {
        let axes = SpecificationKey.all.filter(\.isAxis).map(\.path)
        let known = Parameter.allCases.map {
            ($0.isRenderKey ? "render." : "parameters.") + $0.rawValue
        }
        #expect(axes.sorted() == known.sorted())
    }

    private static func parent(_ key: SpecificationKey) -> String {
        key.path.split(separator: ".").dropLast().joined(separator: ".")
    }

    /// A job with one more key under `parent`, whatever lists lead to it.
    private static func document(with key: String, under parent: String) -> SpecificationValue {
        var value = SpecificationValue.mapping([key: .integer(1)])
        for part in parent.split(separator: ".").reversed() {
            if part.hasSuffix("[]") { value = .list([value]) }
            value = .mapping([String(part.replacing("[]", with: "")): value])
        }
        return value
    }

    @Test(
        "what the table says holds anyway is the same job when written",
        arguments: [
            "specification: dreamfarm/1", "priority: 50", "class: any", "output: {format: png}",
            "output: {name: '{job}/{index}-s{seed}.png'}", "limits: {max_attempts: 5}",
            "chunk: {target_seconds: 60}", "render: {negative_prompt: ''}",
            "render: {true_cfg: {scale: 1, start: 0, end: 0, guidance: 3.5}}",
            "render: {first_step_guidance: 0}", "render: {prepare: resize}",
            "render: {posterior: mode}", "render: {noise: float32}", "render: {step_cache: 0}",
            "render: {loras: []}", "render: {}", "after: []", "requirements: {}", "limits: {}",
        ]
    )
    func standards(line: String) throws {
        let bare = try JobSpecification(parsing: "parameters: {prompt: a}")
        let written = try JobSpecification(parsing: "parameters: {prompt: a}\n\(line)")
        #expect(written.canonicalJSON == bare.canonicalJSON)
        #expect(bare.canonicalJSON.count < 80, "\(bare.canonicalJSON)")
    }
}
