import ArgumentParser
import FoundationEssentials
import Imaging

/// How a terminal is told to show a picture.
enum TerminalGraphics: String, CaseIterable, ExpressibleByArgument {
    /// The graphics protocol of kitty, which others have taken over.
    case kitty
    /// The inline images of iTerm2.
    case iterm
    /// The graphics of DEC's terminals.
    case sixel

    /// What a terminal shows pictures by, as far as it says so in the environment.
    ///
    /// - Parameter environment: The process's environment.
    /// - Returns: Nil where the terminal has to be asked.
    static func known(by environment: [String: String]) -> TerminalGraphics? {
        let terminal = environment["TERM"] ?? ""
        if ["xterm-kitty", "xterm-ghostty"].contains(terminal) { return .kitty }
        if ["foot", "mlterm", "yaft", "contour"].contains(where: { terminal.hasPrefix($0) }) {
            return .sixel
        }
        // tmux stands between; what it runs in is told by what it left of the environment.
        if let program = environment["TERM_PROGRAM"], program != "tmux" { return programs[program] }
        if environment["LC_TERMINAL"] == "iTerm2" { return .iterm }
        return environment["KITTY_WINDOW_ID"] == nil ? nil : .kitty
    }

    private static let programs: [String: TerminalGraphics] = [
        "ghostty": .kitty, "WarpTerminal": .kitty,
        "iTerm.app": .iterm, "WezTerm": .iterm, "mintty": .iterm, "rio": .iterm,
    ]

    /// What the terminal is sent to show a picture.
    ///
    /// - Parameters:
    ///   - image: The picture, no larger than it is to be shown.
    ///   - isWrapped: Whether tmux is to pass it on to the terminal that it runs in.
    /// - Returns: Control strings, each whole.
    /// - Throws: `ImageError` where it cannot be encoded.
    func bytes(of image: PixelImage, isWrapped: Bool) throws -> [UInt8] {
        let strings =
            switch self {
            case .kitty: Self.kitty(try PNGEncoder.encode(image))
            case .iterm: [Self.iterm(try PNGEncoder.encode(image))]
            case .sixel: [SixelEncoder.encode(image)]
            }
        return strings.flatMap { isWrapped ? Self.wrapped($0) : $0 }
    }

    /// A PNG file in pieces of 4096 letters, the most that the protocol allows; no answer is wanted.
    private static func kitty(_ png: [UInt8]) -> [[UInt8]] {
        let letters = Array(Data(png).base64EncodedString().utf8)
        return stride(from: 0, to: letters.count, by: 4096).map { start in
            let end = min(letters.count, start + 4096)
            let keys = (start == 0 ? "a=T,f=100,q=2," : "") + "m=\(end < letters.count ? 1 : 0)"
            return Array("\u{1b}_G\(keys);".utf8) + letters[start..<end] + "\u{1b}\\".utf8
        }
    }

    private static func iterm(_ png: [UInt8]) -> [UInt8] {
        let text = Data(png).base64EncodedString()
        return Array("\u{1b}]1337;File=inline=1;size=\(png.count):\(text)\u{7}".utf8)
    }

    /// A control string inside tmux's own, which passes it on; every escape in it stands twice.
    private static func wrapped(_ string: [UInt8]) -> [UInt8] {
        let escape: UInt8 = 0x1b
        let inner = string.flatMap { $0 == escape ? [escape, escape] : [$0] }
        return Array("\u{1b}Ptmux;".utf8) + inner + "\u{1b}\\".utf8
    }
}
