import Foundation
import Testing

@testable import dreamfarm

@Suite("Names of the pictures")
struct OutputFileTests {
    @Test(
        "several pictures get names of their own, before the extension",
        arguments: [
            ("out.png", nil, nil, "out.png"),
            ("out.png", nil, 7, "out-s7.png"),
            ("out.png", 0, nil, "out-1.png"),
            ("a/out.png", 1, 18_446_744_073_709_551_615, "a/out-2-s18446744073709551615.png"),
            ("out", 0, nil, "out-1.png"),
            ("out", nil, nil, "out"),
            ("a.b/out", nil, 3, "a.b/out-s3.png"),
            ("x.tar.gz", nil, 3, "x.tar-s3.gz"),
            ("/t/é ü.PNG", 2, 0, "/t/é ü-3-s0.PNG"),
        ] as [(String, Int?, UInt64?, String)]
    )
    func names(output: String, prompt: Int?, seed: UInt64?, path: String) {
        #expect(OutputFile.path(output, prompt: prompt, seed: seed) == path)
    }

    @Test("a file that can be written passes, whether it is there or not")
    func writable() throws {
        let folder = try TaskFolder()
        let path = "\(folder.path)/a.png"
        #expect(throws: Never.self) { try OutputFile.checkWritable(path) }
        _ = try folder.write("old", to: "a.png")
        #expect(throws: Never.self) { try OutputFile.checkWritable(path) }
        #expect(throws: Never.self) { try OutputFile.checkWritable("a-name-without-folder.png") }
    }

    @Test("a folder that is missing, or in the file's place, is named")
    func unwritable() throws {
        let folder = try TaskFolder()
        #expect(throws: OutputFile.PathError.isFolder(path: folder.path)) {
            try OutputFile.checkWritable(folder.path)
        }
        let path = "\(folder.path)/none/a.png"
        let error = try #require(throws: OutputFile.PathError.self) {
            try OutputFile.checkWritable(path)
        }
        #expect(error.description.hasPrefix("\(path): the folder \(folder.path)/none"))
        #expect(error.description.contains("does not exist: create it"))
        _ = try folder.write("x", to: "file")
        #expect(throws: OutputFile.PathError.self) {
            try OutputFile.checkWritable("\(folder.path)/file/a.png")
        }
    }
}
