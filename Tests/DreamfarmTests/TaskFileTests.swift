import Diffusion
import Foundation
import Testing

@testable import dreamfarm

@Suite("Task files")
struct TaskFileTests {
    private let folder: TaskFolder

    init() throws {
        folder = try TaskFolder()
    }

    @Test("every key is read")
    func everyKey() throws {
        let path = try folder.write(
            """
            {"prompt": "a [ref#1]", "width": 64, "height": 48, "steps": 3, "guidance": 2,
             "seed": 7, "first_step_guidance": 1.5, "negative_prompt": "x", "neg_guidance": 2.5,
             "true_cfg": 2, "cfg_start": 1, "cfg_end": 3, "turbo": false, "version": "v1",
             "max_text_tokens": 40, "posterior": "sample",
             "conditions": [{"image": "a.png", "task": "id", "index": 4}, {"image": "b.png"}]}
            """
        )
        let task = try TaskFile.read(path)
        #expect(task.prompt == "a [ref#1]")
        #expect(task.width == 64 && task.height == 48 && task.steps == 3)
        #expect(task.guidance == 2 && task.first_step_guidance == 1.5)
        #expect(task.seed == 7)
        #expect(task.negative_prompt == "x" && task.neg_guidance == 2.5)
        #expect(task.true_cfg == 2 && task.cfg_start == 1 && task.cfg_end == 3)
        #expect(task.turbo == false && task.version == "v1")
        #expect(task.max_text_tokens == 40)
        #expect(task.posterior == .sample)
        let conditions = try #require(task.conditions)
        #expect(conditions.map(\.task) == ["id", nil])
        #expect(conditions.map(\.index) == [4, nil])
        #expect(TaskFile.unknownKeys(path) == [])
    }

    @Test("what is left out stays empty")
    func emptyTask() throws {
        #expect(try TaskFile.read(folder.write("{}")) == TaskFile())
    }

    @Test("paths are relative to the file")
    func relativePaths() throws {
        let task = try TaskFile.read(
            folder.write(
                """
                {"conditions": [{"image": "a b.png"}, {"image": "../c.png"},
                 {"image": "/d/e.png"}, {"image": "é/100%.png"}]}
                """
            )
        )
        let images = try #require(task.conditions).map(\.image)
        #expect(images[0] == "\(folder.path)/a b.png")
        #expect(images[1].hasPrefix("\(folder.path)/"))
        #expect(
            URL(filePath: images[1]).standardizedFileURL.path(percentEncoded: false)
                == URL(filePath: folder.path).deletingLastPathComponent().standardizedFileURL
                .appending(path: "c.png").path(percentEncoded: false)
        )
        #expect(images[2] == "/d/e.png")
        #expect(images[3] == "\(folder.path)/é/100%.png")
    }

    @Test(
        "seeds are exact beyond what a double holds",
        arguments: [
            0, 1, 4_294_967_301, 9_007_199_254_740_993, 9_223_372_036_854_775_807,
            18_446_744_073_709_551_615,
        ] as [UInt64]
    )
    func seeds(seed: UInt64) throws {
        #expect(try TaskFile.read(folder.write("{\"seed\": \(seed)}")).seed == seed)
    }

    @Test("unknown keys are listed in order")
    func unknownKeys() throws {
        let path = try folder.write(
            "{\"prompt\": \"a\", \"zebra\": 1, \"sed\": 4, \"Steps\": null}"
        )
        #expect(TaskFile.unknownKeys(path) == ["Steps", "sed", "zebra"])
        #expect(try TaskFile.read(path).prompt == "a")
    }

    @Test(
        "a wrong value is named by its key",
        arguments: [
            ("{\"width\": \"64\"}", "width "),
            ("{\"steps\": 2.5}", "steps "),
            ("{\"seed\": -1}", "seed "),
            ("{\"seed\": 18446744073709551616}", "seed "),
            ("{\"guidance\": []}", "guidance "),
            ("{\"turbo\": 1}", "turbo "),
            ("{\"prompt\": 5}", "prompt "),
            ("{\"posterior\": \"mean\"}", "posterior "),
            ("{\"conditions\": {}}", "conditions "),
            ("{\"conditions\": [{\"task\": \"id\"}]}", "conditions.0.image is missing: add it"),
            (
                "{\"conditions\": [{\"image\": \"a\"}, {\"image\": \"b\", \"index\": \"2\"}]}",
                "conditions.1.index "
            ),
            ("{\"conditions\": [{\"image\": null}]}", "conditions.0.image "),
        ]
    )
    func wrongValues(text: String, problem: String) throws {
        let path = try folder.write(text)
        let error = try #require(throws: TaskFile.ReadError.self) { try TaskFile.read(path) }
        guard case .key = error else {
            Issue.record("\(error)")
            return
        }
        #expect(error.description.hasPrefix("\(path): \(problem)"), "\(error)")
        #expect(!error.description.contains("\n"))
    }

    @Test(
        "what is no JSON object is said to be none",
        arguments: ["", "{", "[]", "5", "{\"a\" 1}"]
    )
    func noObject(text: String) throws {
        let path = try folder.write(text)
        let error = try #require(throws: TaskFile.ReadError.self) { try TaskFile.read(path) }
        #expect(error.description.hasPrefix("\(path): is not a JSON object ("), "\(error)")
        #expect(!error.description.contains("\n"))
        #expect(TaskFile.unknownKeys(path) == [])
    }

    @Test("a file that is not there is named")
    func missing() throws {
        let path = "\(folder.path)/none.json"
        let error = try #require(throws: TaskFile.ReadError.self) { try TaskFile.read(path) }
        #expect(error == .unreadable(path: path))
        #expect(error.description.hasPrefix("\(path): cannot be read"))
        #expect(throws: TaskFile.ReadError.unreadable(path: folder.path)) {
            try TaskFile.read(folder.path)
        }
    }
}
