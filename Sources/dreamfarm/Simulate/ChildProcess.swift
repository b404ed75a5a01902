import Foundation

/// A program that runs beside this one, its output in a file.
final class ChildProcess {
    private let process = Process()
    /// The file with what it said.
    let log: String

    /// Starts a program.
    ///
    /// - Parameters:
    ///   - program: Its path.
    ///   - arguments: Its arguments.
    ///   - log: The file for its output, which is added to.
    /// - Throws: ``ChildProcessError`` when it cannot be started.
    init(_ program: String, _ arguments: [String], log: String) throws {
        self.log = log
        _ = FileManager.default.createFile(atPath: log, contents: nil)
        guard let output = FileHandle(forWritingAtPath: log) else {
            throw ChildProcessError(program: program, reason: "\(log) cannot be written")
        }
        output.seekToEndOfFile()
        process.executableURL = URL(filePath: program)
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = output
        do {
            try process.run()
        } catch {
            throw ChildProcessError(program: program, reason: "\(error.localizedDescription)")
        }
    }

    var isRunning: Bool { process.isRunning }

    /// How many bytes of memory it holds now; nil when it has ended.
    var residentBytes: Int64? {
        let path = "/proc/\(process.processIdentifier)/status"
        guard let text = try? String(contentsOfFile: path, encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("VmRSS:") }),
            let kibibytes = line.split(whereSeparator: \.isWhitespace).dropFirst().first
        else { return nil }
        return Int64(kibibytes).map { $0 * 1024 }
    }

    /// Asks it to end, and waits until it has.
    ///
    /// - Returns: Its exit status.
    @discardableResult
    func stop() -> Int32 {
        if process.isRunning { process.terminate() }
        process.waitUntilExit()
        return process.terminationStatus
    }

    /// The last lines that it said.
    var lastLines: String {
        let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").suffix(10).joined(separator: "\n")
    }
}

/// Why a program could not be started.
struct ChildProcessError: Error, CustomStringConvertible {
    var program: String
    var reason: String

    var description: String { "\(program): cannot be started: \(reason)" }
}
