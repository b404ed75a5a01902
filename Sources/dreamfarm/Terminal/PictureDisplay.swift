import ArgumentParser
import FoundationEssentials
import Glibc
import Imaging

/// Whether and how pictures are shown in the terminal.
struct ShowOptions: ParsableArguments {
    @Flag(help: "Show the pictures in the terminal, too.")
    var show = false

    @Option(help: "Show the pictures in the terminal by kitty, iterm or sixel, whatever it is.")
    var showAs: TerminalGraphics?

    /// What shows the pictures.
    ///
    /// - Parameter isOutputTaken: Whether standard output has something else to carry.
    /// - Returns: Nil where that is not wanted.
    /// - Throws: ``ShowError`` where there is no terminal that shows any.
    func display(isOutputTaken: Bool) throws(ShowError) -> PictureDisplay? {
        guard show || showAs != nil else { return nil }
        let environment = ProcessInfo.processInfo.environment
        let isError = isOutputTaken || isatty(STDOUT_FILENO) != 1 && isatty(STDERR_FILENO) == 1
        let descriptor = isError ? STDERR_FILENO : STDOUT_FILENO
        let isInTmux = environment["TMUX"] != nil
        if let known = showAs {
            return PictureDisplay(known, isWrapped: isInTmux, descriptor)
        }
        guard isatty(descriptor) == 1 else { throw .noTerminal }
        if let known = TerminalGraphics.known(by: environment) {
            return PictureDisplay(known, isWrapped: isInTmux, descriptor)
        }
        let terminal = environment["TERM"] ?? ""
        // A tmux that answers draws the sixels itself.
        guard !["", "dumb"].contains(terminal),
            TerminalQuery.showsSixels(input: STDIN_FILENO, output: descriptor)
        else { throw .unknownTerminal(terminal) }
        return PictureDisplay(.sixel, isWrapped: false, descriptor)
    }
}

/// Why pictures are not shown.
enum ShowError: Error, Equatable, CustomStringConvertible {
    case noTerminal
    case unknownTerminal(String)

    var description: String {
        switch self {
        case .noTerminal:
            "--show needs a terminal, and there is none: name what reads the output by"
                + " --show-as kitty, iterm or sixel"
        case .unknownTerminal(let name):
            "--show: this terminal (TERM=\(shown(name))) does not say that it shows pictures: if"
                + " it does, name how by --show-as kitty, iterm or sixel"
        }
    }
}

/// Shows pictures in a terminal.
struct PictureDisplay {
    private let graphics: TerminalGraphics
    private let isWrapped: Bool
    private let descriptor: Int32
    private let size: TerminalSize

    /// Shows pictures by some graphics at a descriptor.
    init(_ graphics: TerminalGraphics, isWrapped: Bool, _ descriptor: Int32) {
        self.graphics = graphics
        self.isWrapped = isWrapped
        self.descriptor = descriptor
        size = TerminalSize(of: descriptor)
    }

    /// Shows a picture on lines of its own, made smaller where the terminal is.
    ///
    /// - Parameters:
    ///   - file: The bytes of a picture file.
    ///   - name: What errors call it.
    /// - Throws: `ImageError` for what is no picture, ``StandardOutput/WriteError``.
    func show(_ file: [UInt8], name: String) throws {
        let image = try ImageDecoder().decode(file, name: name)
        let fitting = size.fitting(width: image.width, height: image.height)
        let small = AreaResampler.resize(image, width: fitting.width, height: fitting.height)
        let bytes = try graphics.bytes(of: small, isWrapped: isWrapped)
        try StandardOutput.write(bytes + "\n".utf8, to: descriptor)
    }
}

/// How large a terminal is.
struct TerminalSize: Equatable {
    var rows = 24
    var columns = 80
    /// The side lengths of a character; those of usual ones where the terminal does not tell.
    var cellWidth = 10
    var cellHeight = 20

    init() {}

    /// The size of the terminal at a descriptor; that of the oldest ones where there is none.
    init(of descriptor: Int32) {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_row > 1, size.ws_col > 1
        else { return }
        (rows, columns) = (Int(size.ws_row), Int(size.ws_col))
        guard size.ws_xpixel >= size.ws_col, size.ws_ypixel >= size.ws_row else { return }
        (cellWidth, cellHeight) = (Int(size.ws_xpixel) / columns, Int(size.ws_ypixel) / rows)
    }

    /// The size in which a picture fits: its own, or a smaller one of its shape that leaves a line free.
    func fitting(width: Int, height: Int) -> (width: Int, height: Int) {
        let room = (width: columns * cellWidth, height: (rows - 1) * cellHeight)
        let scale = min(
            1,
            Double(room.width) / Double(width),
            Double(room.height) / Double(height)
        )
        return (max(1, Int(Double(width) * scale)), max(1, Int(Double(height) * scale)))
    }
}
