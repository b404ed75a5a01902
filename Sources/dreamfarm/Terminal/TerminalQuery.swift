import Glibc

/// Asks a terminal what it can do.
enum TerminalQuery {
    /// Whether a terminal answers the request for its primary attributes with sixels among them.
    ///
    /// What is typed meanwhile is read with the answer. A terminal that does not know the request says nothing,
    /// which ends the wait.
    ///
    /// - Parameters:
    ///   - input: Where it answers.
    ///   - output: Where it is asked.
    ///   - timeout: How many milliseconds may pass between two parts of the answer.
    /// - Returns: False too where either is no terminal, or another process has it.
    static func showsSixels(input: Int32, output: Int32, timeout: Int32 = 300) -> Bool {
        guard isatty(input) == 1, isatty(output) == 1, isForeground(input) else { return false }
        var before = termios()
        guard tcgetattr(input, &before) == 0 else { return false }
        var raw = before
        // The answer ends without a line, and is not for the eye.
        raw.c_lflag &= ~tcflag_t(ICANON | ECHO)
        guard tcsetattr(input, TCSANOW, &raw) == 0 else { return false }
        defer { tcsetattr(input, TCSANOW, &before) }
        FileHandleText.write("\u{1b}[c", to: output)
        return attributes(in: answer(from: input, timeout)).contains(4)
    }

    /// Whether it may be changed: who is in the background is stopped by the attempt.
    private static func isForeground(_ terminal: Int32) -> Bool {
        let group = tcgetpgrp(terminal)
        return group == -1 || group == getpgrp()
    }

    /// What comes up to the end of an answer, or of the wait for it.
    private static func answer(from input: Int32, _ timeout: Int32) -> [UInt8] {
        var answer: [UInt8] = []
        var byte: UInt8 = 0
        var ready = pollfd(fd: input, events: Int16(POLLIN), revents: 0)
        while answer.count < 256, poll(&ready, 1, timeout) == 1, read(input, &byte, 1) == 1 {
            answer.append(byte)
            if byte == UInt8(ascii: "c"), !attributes(in: answer).isEmpty { break }
        }
        return answer
    }

    /// The numbers of `ESC [ ? 62 ; 4 c`, whatever was typed before it.
    private static func attributes(in answer: [UInt8]) -> [Int] {
        let text = String(decoding: answer, as: UTF8.self)
        guard let start = text.firstRange(of: "\u{1b}[?"),
            let end = text[start.upperBound...].firstIndex(of: "c")
        else { return [] }
        return text[start.upperBound..<end].split(separator: ";").compactMap { Int($0) }
    }
}
