import FarmModel
import FoundationEssentials
import Testing

@Suite struct MessageTests {
    @Test("an identifier is written in lower case and read in either")
    func identifier() throws {
        let text = "0f8fad5b-d9cb-469f-a165-70867728950e"
        let id = try #require(JobID(text.uppercased()))
        #expect(id.description == text)
        #expect(try FarmJSON.text([id]) == "[\"\(text)\"]")
        #expect(try FarmJSON.decode([JobID].self, from: "[\"\(text)\"]") == [id])
        #expect(JobID("7") == nil)
    }

    @Test(
        "a job key is short, plain and never an id",
        arguments: [
            ("night-run.7", true), ("a", true), ("", false), (".a", false), ("a/b", false),
            ("0f8fad5b-d9cb-469f-a165-70867728950e", false),
            (String(repeating: "a", count: 129), false),
        ]
    )
    func key(text: String, isKey: Bool) {
        #expect((JobKey(rawValue: text) != nil) == isKey)
    }

    @Test("a digest is SHA-256 in lower-case hexadecimal")
    func digest() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        #expect(BlobDigest(of: Data("abc".utf8)).rawValue == abc)
        #expect(BlobDigest(rawValue: abc.uppercased())?.rawValue == abc)
        #expect(BlobDigest(rawValue: String(abc.dropLast())) == nil)
        #expect(BlobDigest(rawValue: String(abc.dropLast()) + "g") == nil)
    }

    @Test("a task assignment survives the wire")
    func assignment() throws {
        let job = try JobSpecification(parsing: JobSpecificationTests.campaign)
        let images = job.images(defaults: JobSpecificationTests.defaults, seed: 1, label: "j")
        let task = TaskAssignment(
            fence: AttemptFence(task: .random(), attempt: .random(), epoch: 3),
            job: .random(),
            leaseSeconds: 60,
            images: images.map {
                ImageAssignment(id: .random(), index: $0.index, settings: $0.settings)
            }
        )
        let text = try FarmJSON.text(task)
        #expect(text.contains("\"negative_prompt\":\"\""))
        #expect(text.contains("\"ref_res\":384"))
        #expect(try FarmJSON.decode(TaskAssignment.self, from: text) == task)
    }

    @Test("a problem keeps its kind over the wire", arguments: ProblemKind.allCases)
    func problem(kind: ProblemKind) throws {
        let text = try FarmJSON.text(ProblemDetails(kind, detail: "because"))
        let problem = try FarmJSON.decode(ProblemDetails.self, from: text)
        #expect(problem.kind == kind)
        #expect(problem.detail == "because")
        #expect((400..<600).contains(problem.status))
    }
}
