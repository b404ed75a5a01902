import Foundation
import Testing

/// The built command, run as a person runs it.
@Suite("Exit status of `dreamfarm render`")
struct ExitStatusTests {
    private struct Outcome {
        let status: Int32
        let errors: String
    }

    /// Runs the command that was built beside the tests.
    private func run(_ arguments: [String]) throws -> Outcome {
        let process = Process()
        process.executableURL = URL(filePath: CommandLine.arguments[0])
            .deletingLastPathComponent().appending(path: "dreamfarm")
        process.arguments = ["render"] + arguments
        let cache = try TaskFolder()
        process.environment = ProcessInfo.processInfo.environment.merging(
            ["XDG_CACHE_HOME": cache.path]
        ) { $1 }
        let errors = Pipe()
        process.standardError = errors
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        let text = try errors.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return Outcome(
            status: process.terminationStatus,
            errors: String(decoding: text, as: UTF8.self)
        )
    }

    private let model = "\(TaskFolder.goldens)/two-references/model"

    @Test("bad input ends with 1, one line that names it, and no file")
    func badInput() throws {
        let folder = try TaskFolder()
        let broken = try folder.write("no picture", to: "broken.png")
        let task = try folder.write("{\"prompt\": 5}")
        let output = "\(folder.path)/out.png"
        let cases: [([String], String)] = [
            (["--model", "\(folder.path)/none", "--prompt", "a"], "\(folder.path)/none"),
            (["--model", model, "--prompt", "a [ref#2]"], "[ref#2] has no reference"),
            (["--model", model, "--prompt", "a", "--reference", "x.png:face"], "x.png:face"),
            (["--model", model, "--prompt", "a", "--reference", "\(broken):id"], broken),
            (["--model", model, "--prompt", "a", "--reference", "\(broken):id:0"], broken),
            (["--model", model, "--prompt", "a", "--size", "100x64"], "width 100"),
            (
                [
                    "--model", model, "--prompt", "a", "--size",
                    "9223372036854775792x1152921504606846976",
                ],
                "size"
            ),
            (["--model", model, "--task", task], task),
            (["--model", model, "--prompt", "a", "--adapters", "v3"], "v3"),
            (
                ["--model", model, "--prompt", "a", "--lora", "\(folder.path)/no.safetensors"],
                "no.safetensors"
            ),
        ]
        for (arguments, problem) in cases {
            let outcome = try run(arguments + ["--threads", "1", "--output", output])
            #expect(outcome.status == 1, "\(arguments): \(outcome.errors)")
            let last = outcome.errors.split(separator: "\n").last ?? ""
            #expect(last.contains(problem), "\(outcome.errors)")
        }
        let outcome = try run([
            "--model", model, "--prompt", "a", "--output", "\(folder.path)/none/out.png",
        ])
        #expect(outcome.status == 1)
        #expect(outcome.errors.contains("\(folder.path)/none"))
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
        #expect(names == ["broken.png", "task.json"])
    }

    @Test("a golden task is rendered, and equals itself with another count of threads")
    func rendering() throws {
        let folder = try TaskFolder()
        var pictures: [Data] = []
        for threads in ["1", "2"] {
            let output = "\(folder.path)/\(threads).png"
            let outcome = try run([
                "--model", model, "--task", "\(TaskFolder.goldens)/two-references/task.json",
                "--threads", threads, "--output", output,
                "--dump", "\(folder.path)/\(threads).safetensors",
            ])
            #expect(outcome.status == 0, "\(outcome.errors)")
            pictures.append(try Data(contentsOf: URL(filePath: output)))
        }
        #expect(pictures[0] == pictures[1])
        #expect(pictures[0].count > 1000)
        #expect(
            try Data(contentsOf: URL(filePath: "\(folder.path)/1.safetensors"))
                == Data(contentsOf: URL(filePath: "\(folder.path)/2.safetensors"))
        )
    }
}
