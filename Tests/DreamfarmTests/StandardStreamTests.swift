import Foundation
import Imaging
import Testing

/// `dreamfarm render` between other programs.
@Suite("Standard input and output", .timeLimit(.minutes(5)))
struct StandardStreamTests {
    private static let render = [
        "render", "--model", "model", "--threads", "1", "--size", "64x64", "--steps", "1", "--seed",
        "1",
    ]

    @Test("a prompt from standard input makes the picture that its text makes, on standard output")
    func streams() throws {
        let folder = try ModelFolder()
        let named = try CommandRun.run(
            Self.render + ["--prompt", "a café, at\nnight", "--output", "out.png"],
            in: folder
        )
        #expect(named.status == 0, "\(named.lines)")
        #expect(named.output.isEmpty)
        let piped = try CommandRun.run(
            Self.render + ["--prompt", "-", "--output", "-"],
            in: folder,
            input: Data("a café, at\nnight\r\n\n".utf8)
        )
        #expect(piped.status == 0, "\(piped.lines)")
        #expect(try [UInt8](piped.output) == folder.bytes(of: "out.png"))
        #expect(piped.lines.last?.hasPrefix("standard output after ") == true, "\(piped.lines)")
        #expect(try folder.files == ["out.png"])
    }

    @Test("a terminal gets no picture's bytes unless they are forced on it")
    func terminal() throws {
        let folder = try ModelFolder()
        let command = Self.render + ["--prompt", "a cat", "--output", "-"]
        let refused = try CommandRun.run(command, in: folder, terminal: try PseudoTerminal())
        #expect(refused.status == 1)
        #expect(refused.errors.count == 1 && refused.errors[0].contains("--force"))
        #expect(refused.output.isEmpty)
        let forced = try CommandRun.run(
            command + ["--force"],
            in: folder,
            terminal: try PseudoTerminal()
        )
        #expect(forced.status == 0, "\(forced.lines)")
        let picture = try forced.output.picture
        #expect(picture.width == 64 && picture.height == 64)
        #expect(try folder.files == [])
    }

    @Test(
        "what does not go on standard streams is refused, and named",
        arguments: [
            (["--prompt", "-"], "", 1, "is empty"),
            (["--prompt", "-"], " \n\n", 1, "is empty"),
            (["--prompt", "-", "--prompt", "-"], "a cat", 1, "more than once"),
            (["--prompt", "a", "--prompt", "b", "--output", "-"], "", 1, "makes 2"),
            (["--prompt", "a", "--count", "3", "--output", "-"], "", 1, "makes 3"),
            (
                ["--prompt", "a", "--output", "-", "--preview-every", "1"], "", 2,
                "--preview-every"
            ),
        ]
    )
    func refused(arguments: [String], input: String, status: Int32, word: String) throws {
        let folder = try ModelFolder()
        let run = try CommandRun.run(Self.render + arguments, in: folder, input: Data(input.utf8))
        #expect(run.status == status, "\(run.lines)")
        #expect(run.errors.count == 1 && run.errors[0].contains(word), "\(run.lines)")
        #expect(run.output.isEmpty)
        #expect(try folder.files == [])
    }

    @Test("a prompt that is no text, or has no end, is refused")
    func binary() throws {
        let folder = try ModelFolder()
        let inputs = [
            (Data([0x61, 0xff, 0x62]), "UTF-8"), (Data([0x61, 0, 0x62]), "UTF-8"),
            (Data(repeating: 0x61, count: (1 << 20) + 1), "1048576 bytes"),
        ]
        for (input, word) in inputs {
            let run = try CommandRun.run(Self.render + ["--prompt", "-"], in: folder, input: input)
            #expect(run.status == 1)
            #expect(run.errors.count == 1 && run.errors[0].contains(word), "\(run.lines)")
        }
    }
}
