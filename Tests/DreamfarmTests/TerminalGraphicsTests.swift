import Foundation
import Imaging
import Testing

@testable import dreamfarm

@Suite("Pictures in terminals", .timeLimit(.minutes(5)))
struct TerminalGraphicsTests {
    @Test(
        "a terminal is known by what it leaves in the environment",
        arguments: [
            (["TERM": "xterm-kitty"], .kitty),
            (["TERM": "xterm-ghostty"], .kitty),
            (["TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"], .kitty),
            (["TERM": "tmux-256color", "TERM_PROGRAM": "tmux", "KITTY_WINDOW_ID": "1"], .kitty),
            (["TERM": "screen-256color", "LC_TERMINAL": "iTerm2"], .iterm),
            (["TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"], .iterm),
            (["TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"], .iterm),
            (["TERM": "xterm-256color", "TERM_PROGRAM": "ghostty"], .kitty),
            (["TERM": "foot"], .sixel),
            (["TERM": "foot-extra", "KITTY_WINDOW_ID": "1"], .sixel),
            (["TERM": "mlterm"], .sixel),
            // It is started from kitty, and is another.
            (["TERM": "xterm-256color", "TERM_PROGRAM": "vscode", "KITTY_WINDOW_ID": "1"], nil),
            (["TERM": "xterm-256color"], nil),
            ([:], nil),
        ] as [([String: String], TerminalGraphics?)]
    )
    func known(environment: [String: String], graphics: TerminalGraphics?) {
        #expect(TerminalGraphics.known(by: environment) == graphics)
    }

    /// A picture whose file needs several pieces.
    private static let noise: PixelImage = {
        var state: UInt32 = 1
        let pixels = (0..<3 * 64 * 50).map { _ in
            state = state &* 1_664_525 &+ 1_013_904_223
            return UInt8(state >> 24)
        }
        return PixelImage(width: 64, height: 50, pixels: pixels)
    }()

    @Test("what is sent is the picture, through tmux too", arguments: [false, true])
    func bytes(isWrapped: Bool) throws {
        let image = Self.noise
        func screen(_ graphics: TerminalGraphics) throws -> TerminalScreen {
            let bytes = try graphics.bytes(of: image, isWrapped: isWrapped)
            return try TerminalScreen(Data(bytes))
        }
        let kitty = try screen(.kitty)
        #expect(try kitty.kitty.map { try $0.picture } == [image])
        #expect(isWrapped ? kitty.passedOn > 2 : kitty.passedOn == 0)
        let iterm = try screen(.iterm)
        #expect(try iterm.iterm.map { try $0.picture } == [image])
        #expect(iterm.passedOn == (isWrapped ? 1 : 0))
        let sixel = try screen(.sixel)
        #expect(sixel.sixels == [Data(SixelEncoder.encode(image))])
        #expect(sixel.passedOn == (isWrapped ? 1 : 0))
    }

    @Test(
        "a picture is shown in its size, or in the largest of its shape that fits",
        arguments: [
            (800, 400, 800, 400), (64, 64, 64, 64), (1600, 400, 800, 200), (920, 920, 460, 460),
            (10_000, 1, 800, 1),
        ]
    )
    func fitting(width: Int, height: Int, shownWidth: Int, shownHeight: Int) {
        let size = TerminalSize().fitting(width: width, height: height)
        #expect(size.width == shownWidth && size.height == shownHeight)
    }

    /// A golden model's picture of one step.
    private static let render = [
        "render", "--model", "model", "--threads", "1", "--size", "64x64", "--steps", "1", "--seed",
        "1", "--prompt", "a cat", "--output", "out.png",
    ]

    @Test(
        "a picture that is rendered is shown as it is written, by what the terminal is",
        arguments: ["kitty", "iterm", "tmux", "sixel", "forced"]
    )
    func shown(way: String) throws {
        let folder = try ModelFolder()
        let environment: [String: String] =
            switch way {
            case "kitty": ["TERM": "xterm-kitty"]
            case "iterm": ["TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"]
            case "tmux": ["TERM": "tmux-256color", "KITTY_WINDOW_ID": "1", "TMUX": "socket"]
            default: ["TERM": "xterm"]
            }
        // What it answers to what asks for its attributes: a VT420 with sixels and more.
        let terminal = try PseudoTerminal(answering: way == "sixel" ? "\u{1b}[?64;4;22c" : nil)
        let run = try CommandRun.run(
            Self.render + (way == "forced" ? ["--show-as", "kitty"] : ["--show"]),
            in: folder,
            terminal: way == "forced" ? nil : terminal,
            environment: environment
        )
        #expect(run.status == 0, "\(run.lines)")
        let picture = try Data(folder.bytes(of: "out.png")).picture
        let screen = try TerminalScreen(run.output)
        switch way {
        case "kitty", "forced": #expect(try screen.kitty.map { try $0.picture } == [picture])
        case "iterm": #expect(try screen.iterm.map { try $0.picture } == [picture])
        case "tmux":
            #expect(try screen.kitty.map { try $0.picture } == [picture])
            #expect(screen.passedOn > 0)
        default: #expect(screen.sixels == [Data(SixelEncoder.encode(picture))])
        }
        #expect(screen.kitty.count + screen.iterm.count + screen.sixels.count == 1)
    }

    @Test("where nothing shows pictures, that is said before anything is rendered")
    func unable() throws {
        let folder = try ModelFolder()
        let none = try CommandRun.run(Self.render + ["--show"], in: folder)
        #expect(none.status == 1)
        #expect(none.errors.count == 1 && none.errors[0].contains("--show-as"), "\(none.lines)")
        let plain = try CommandRun.run(
            Self.render + ["--show"],
            in: folder,
            terminal: try PseudoTerminal(answering: "\u{1b}[?6c"),
            environment: ["TERM": "vt102"]
        )
        #expect(plain.status == 1)
        #expect(plain.errors.count == 1 && plain.errors[0].contains("TERM=vt102"), "\(plain.lines)")
        // Who says nothing is waited for no longer than it takes.
        let silent = try CommandRun.run(
            Self.render + ["--show"],
            in: folder,
            terminal: try PseudoTerminal(),
            environment: ["TERM": "xterm"]
        )
        #expect(silent.status == 1 && silent.errors.count == 1, "\(silent.lines)")
        #expect(try folder.files == [])
    }
}
