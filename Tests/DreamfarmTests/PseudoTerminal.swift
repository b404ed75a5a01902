import Foundation
import Glibc
import Synchronization
import Testing

/// A terminal that a program of a test writes to, without a person before it.
final class PseudoTerminal: Sendable {
    /// The end that the program has.
    let slave: FileHandle
    private let master: Int32
    /// What it answers to the request for its primary attributes.
    private let answer: String?
    private let written = Mutex(Data())
    private let isRead = DispatchSemaphore(value: 0)

    /// Makes a terminal.
    ///
    /// - Parameter answer: What it answers to the request for its primary attributes; nil for nothing.
    /// - Throws: Where the system gives none.
    init(answering answer: String? = nil) throws {
        var (master, slave): (Int32, Int32) = (-1, -1)
        try #require(openpty(&master, &slave, nil, nil, nil) == 0)
        var mode = termios()
        try #require(tcgetattr(slave, &mode) == 0)
        // The bytes as they were written, with no end of line made longer.
        cfmakeraw(&mode)
        try #require(tcsetattr(slave, TCSANOW, &mode) == 0)
        // What other tests start meanwhile is not to hold it open.
        for end in [master, slave] { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        self.master = master
        self.slave = FileHandle(fileDescriptor: slave, closeOnDealloc: false)
        self.answer = answer
    }

    deinit {
        close(master)
    }

    /// Reads what is written, once the program has its end.
    func begin() {
        try? slave.close()
        // A thread, since it waits, and the tests' own are few.
        Thread.detachNewThread { [self] in
            var chunk = [UInt8](repeating: 0, count: 1 << 14)
            var isAsked = false
            while case let count = read(master, &chunk, chunk.count), count > 0 {
                let text = written.withLock { data in
                    data += chunk[..<count]
                    return String(decoding: data.prefix(1 << 10), as: UTF8.self)
                }
                guard !isAsked, text.contains("\u{1b}[c"), let answer else { continue }
                isAsked = true
                _ = Array(answer.utf8).withUnsafeBytes { write(master, $0.baseAddress, $0.count) }
            }
            isRead.signal()
        }
    }

    /// What was written, once the program has ended.
    func end() -> Data {
        isRead.wait()
        return written.withLock { $0 }
    }
}
