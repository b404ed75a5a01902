import FarmModel
import Foundation
import Testing

@testable import dreamfarm

@Suite("The files that a job names")
struct JobFilesTests {
    private static let job = """
        parameters:
          prompt: ["[ref#1] on snow", "[ref#1] in the rain"]
          references: [[{image: frog.png, task: ip}], [{image: jacket.png, task: ip}]]
          loras: [[], [{file: grain.safetensors, weight: 0.8}, {file: /FOLDER/ink.safetensors}]]
        """

    /// Lends a folder with the files, each of which holds its own name.
    private func withFiles(_ names: [String], _ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory
            .appending(path: "job-files-\(UUID().uuidString)").path(percentEncoded: false)
        try FileManager.default.createDirectory(
            atPath: folder,
            withIntermediateDirectories: true
        )
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for name in names {
            try Data(name.utf8).write(to: URL(filePath: "\(folder)/\(name)"))
        }
        try body(folder)
    }

    private func specification(_ folder: String) throws -> JobSpecification {
        try JobSpecification(parsing: Self.job.replacing("/FOLDER", with: folder))
    }

    @Test("references and adapters are found beside the job, and all have digests then")
    func found() throws {
        let names = ["frog.png", "jacket.png", "grain.safetensors", "ink.safetensors"]
        try withFiles(names) { folder in
            let job = try specification(folder)
            let files = JobFiles(of: job, beside: folder)
            #expect(files.problems.isEmpty)
            #expect(Set(files.paths.values) == Set(names.map { "\(folder)/\($0)" }))
            let whole = job.withDigests(files.digests)
            #expect(whole.files.isEmpty)
            #expect(Set(whole.blobs) == Set(names.map { BlobDigest(ofText: $0) }))
            #expect(whole.loras.first?.sha256 == BlobDigest(ofText: "grain.safetensors"))
        }
    }

    @Test("what is not there is named with its place and its path, all at once")
    func missing() throws {
        try withFiles(["frog.png", "ink.safetensors"]) { folder in
            let job = try specification(folder)
            let problems = JobFiles(of: job, beside: folder).problems
            #expect(
                problems.map(\.path) == [
                    "parameters.references[1][0].image", "parameters.loras[1][0].file",
                ]
            )
            for (problem, name) in zip(problems, ["jacket.png", "grain.safetensors"]) {
                #expect(problem.message.contains("\(folder)/\(name)"))
            }
        }
    }
}
