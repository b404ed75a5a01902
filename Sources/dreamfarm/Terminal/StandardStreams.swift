import Glibc
import Imaging

/// What `-` stands for where a file is read.
enum StandardInput {
    /// The name that stands for it.
    static let name = "-"
    /// The longest prompt in bytes; models see far less of it.
    private static let longest = 1 << 20

    enum ReadError: Error, Equatable, CustomStringConvertible {
        case unreadable(reason: String)
        case empty
        case tooLong
        case notText
        case twice

        var description: String {
            switch self {
            case .unreadable(let reason): "--prompt -: standard input cannot be read: \(reason)"
            case .empty: "--prompt -: standard input is empty: write the prompt to it"
            case .tooLong:
                "--prompt -: standard input holds over \(StandardInput.longest) bytes: write the"
                    + " prompt alone to it"
            case .notText:
                "--prompt -: standard input is not text in UTF-8: write the prompt to it"
            case .twice:
                "--prompt - is given more than once, and standard input is read once: give it once"
            }
        }
    }

    /// Reads a prompt.
    ///
    /// - Parameter descriptor: What is read, to its end.
    /// - Returns: The text without the ends of lines behind it.
    /// - Throws: ``ReadError`` for what is no prompt.
    static func prompt(from descriptor: Int32 = STDIN_FILENO) throws(ReadError) -> String {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else {
                throw .unreadable(reason: String(cString: strerror(errno)))
            }
            guard count > 0 else { break }
            bytes += chunk[..<count]
            guard bytes.count <= longest else { throw .tooLong }
        }
        guard let text = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
            throw .notText
        }
        var prompt = text[...]
        while prompt.last?.isNewline == true { prompt.removeLast() }
        guard prompt.contains(where: { !$0.isWhitespace }) else { throw .empty }
        return String(prompt)
    }
}

/// What `-` stands for where a file is written.
enum StandardOutput {
    /// The name that stands for it.
    static let name = "-"

    static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

    /// It did not take all that was written.
    struct WriteError: Error, CustomStringConvertible {
        var reason: String

        var description: String {
            "standard output cannot be written: \(reason); check what reads it"
        }
    }

    /// A picture's bytes would go to a terminal.
    struct TerminalError: Error, CustomStringConvertible {
        var option: String

        var description: String {
            "\(option) - writes a picture's bytes, and standard output is a terminal: send them to a"
                + " program or a file, or give --force; --show shows pictures"
        }
    }

    /// Checks that what reads it is no person.
    ///
    /// - Parameters:
    ///   - option: The option that was given `-`.
    ///   - isForced: Whether it is to be written to whatever it is.
    /// - Throws: ``TerminalError`` where it is a terminal.
    static func checkReader(option: String, isForced: Bool) throws(TerminalError) {
        if !isForced, isTerminal { throw TerminalError(option: option) }
    }

    /// Writes bytes.
    ///
    /// - Throws: ``WriteError`` where not all are taken.
    static func write(
        _ bytes: [UInt8],
        to descriptor: Int32 = STDOUT_FILENO
    ) throws(WriteError) {
        var offset = 0
        while offset < bytes.count {
            let count = bytes[offset...].withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress, $0.count)
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw WriteError(reason: String(cString: strerror(errno))) }
            offset += count
        }
    }
}
