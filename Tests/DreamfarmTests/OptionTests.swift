import ArgumentParser
import Diffusion
import Testing

@testable import dreamfarm

@Suite("Arguments of the command line")
struct OptionTests {
    @Test(
        "a reference is a file, a task and perhaps a slot",
        arguments: [
            ("woman.png:id", "woman.png", Condition.Task.id, nil),
            ("jacket.png:ip:2", "jacket.png", .ip, 2),
            ("a/b c.webp:style:9", "a/b c.webp", .style, 9),
            ("C:odd:name.png:ip", "C:odd:name.png", .ip, nil),
            ("id:id", "id", .id, nil),
            ("x:ip:id", "x:ip", .id, nil),
            ("x.png:7:ip:3", "x.png:7", .ip, 3),
            ("x.png:ip:12", "x.png", .ip, 12),
        ] as [(String, String, Condition.Task, Int?)]
    )
    func reference(argument: String, path: String, task: Condition.Task, slot: Int?) throws {
        let option = try ReferenceOption(argument)
        #expect(option.path == path)
        #expect(option.task == task)
        #expect(option.slot == slot)
    }

    @Test(
        "what is no reference is named with the form it should have",
        arguments: [
            "", "woman.png", "woman.png:", "woman.png:face", ":id", ":id:1", "a.png:ID",
            "a.png:id:", "a.png:id:x", "id", "a.png:2",
        ]
    )
    func noReference(argument: String) throws {
        let error = try #require(throws: ReferenceOption.ParseError.self) {
            try ReferenceOption(argument)
        }
        #expect(error == .form(argument))
        #expect(error.description.contains("--reference \(argument) is not FILE:TASK[:SLOT]"))
        #expect(!error.description.contains("\n"))
    }

    @Test(
        "a size is width x height",
        arguments: [("1024x768", 1024, 768), ("16x16", 16, 16), ("0x-5", 0, -5)]
    )
    func size(argument: String, width: Int, height: Int) throws {
        let size = try #require(PictureSize(argument: argument))
        #expect(size.width == width)
        #expect(size.height == height)
        #expect(size.defaultValueDescription == argument)
    }

    @Test(
        "what is no size is refused",
        arguments: [
            "", "x", "1024", "1024x", "x768", "1024x768x3", "1024X768", "10.5x20", "1024 x 768",
            "99999999999999999999x1",
        ]
    )
    func noSize(argument: String) {
        #expect(PictureSize(argument: argument) == nil)
    }

    @Test(
        "true CFG is scale, start and end",
        arguments: [("2:0:6", Float(2), 0, 6), ("1.5:3:12", 1.5, 3, 12), ("0:5:1", 0, 5, 1)]
    )
    func trueCFG(argument: String, scale: Float, start: Int, end: Int) throws {
        let option = try #require(TrueCFGOption(argument: argument))
        #expect(option.scale == scale)
        #expect(option.start == start)
        #expect(option.end == end)
    }

    @Test(
        "what is no window of true CFG is refused",
        arguments: ["", "2", "2:0", "2:0:6:1", "a:0:6", "2:x:6", "2:0:", "2:0.5:6", "::"]
    )
    func noTrueCFG(argument: String) {
        #expect(TrueCFGOption(argument: argument) == nil)
    }

    @Test("a command line becomes the settings it names")
    func commandLine() throws {
        let command = try RenderCommand.parse([
            "--model", "m", "--prompt", "a", "--prompt", "b", "--reference", "x.png:id",
            "--size", "64x32", "--steps", "3", "--guidance", "2.5", "--true-cfg", "2:1:3",
            "--negative-prompt", "blurry", "--negative-guidance", "1", "--first-step-guidance", "4",
            "--seed", "18446744073709551615", "--posterior", "sample", "--noise", "bfloat16",
            "--prepare", "none", "--ref-res", "256", "--max-text-tokens", "77", "--threads", "2",
            "--no-turbo", "--lora", "a.safetensors:0.5", "--preview-every", "2",
        ])
        #expect(command.picture.prompt == ["a", "b"])
        #expect(command.picture.size == PictureSize(argument: "64x32"))
        #expect(command.picture.trueCfg == TrueCFGOption(argument: "2:1:3"))
        #expect(command.picture.seed == [.max])
        #expect(command.picture.posterior == .sample)
        #expect(command.picture.noise == .bfloat16)
        #expect(command.picture.prepare == Preparation.none)
        #expect(command.picture.firstStepGuidance == 4)
        #expect(command.picture.negativeGuidance == 1)
        #expect(command.picture.maxTextTokens == 77)
        #expect(command.model.noTurbo)
        #expect(command.model.threads == 2)
        #expect(command.output.previewEvery == 2)
        #expect(command.output.output == "out.png")
    }

    @Test(
        "arguments that make no sense are refused with their name and what is allowed",
        arguments: [
            (["--model", "m"], "--prompt"),
            (["--prompt", "a"], "--model"),
            (["--model", "m", "--prompt", "a", "--threads", "0"], "--threads 0 is out of range"),
            (["--model", "m", "--prompt", "a", "--count", "0"], "--count 0 is out of range"),
            (["--model", "m", "--prompt", "a", "--preview-every", "0"], "--preview-every 0"),
            (["--model", "m", "--prompt", "a", "--size", "64"], "--size"),
            (["--model", "m", "--prompt", "a", "--true-cfg", "2"], "--true-cfg"),
            (["--model", "m", "--prompt", "a", "--seed", "-1"], "--seed"),
            (["--model", "m", "--prompt", "a", "--precision", "int3"], "--precision"),
            (["--model", "m", "--prompt", "a", "--posterior", "mean"], "--posterior"),
            (["--model", "m", "--prompt", "a", "--sed", "1"], "--sed"),
        ]
    )
    func badArguments(arguments: [String], problem: String) {
        let error = #expect(throws: (any Error).self) { try RenderCommand.parse(arguments) }
        let message = error.map { RenderCommand.fullMessage(for: $0) } ?? ""
        #expect(message.contains(problem), "\(message)")
    }
}
