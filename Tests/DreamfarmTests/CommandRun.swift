import Foundation
import Testing

/// How a run of the built command ended.
struct CommandRun {
    let status: Int32
    /// The lines of standard error.
    let lines: [String]
    /// What came on standard output.
    let output: Data

    /// The lines that say what was wrong.
    var errors: [String] { lines.filter { $0.hasPrefix("error: ") } }

    /// The lines of standard output.
    var outputLines: [String] {
        String(decoding: output, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// Runs the command that was built beside the tests, in a folder.
    ///
    /// - Parameters:
    ///   - arguments: The command line behind the command's name.
    ///   - folder: Where relative paths lie, and the command's cache.
    ///   - input: What standard input has.
    ///   - terminal: What standard input and output are in place of that.
    ///   - environment: Variables beside those that every run gets.
    ///   - onLine: Called with the process for each line as it comes.
    /// - Returns: Its status and what it said.
    /// - Throws: What starting the process throws.
    static func run(
        _ arguments: [String],
        in folder: ModelFolder,
        input: Data = Data(),
        terminal: PseudoTerminal? = nil,
        environment: [String: String] = [:],
        onLine: (Process, String) -> Void = { _, _ in }
    ) throws -> CommandRun {
        try run(
            arguments,
            inFolder: folder.path,
            input: input,
            terminal: terminal,
            environment: environment,
            onLine: onLine
        )
    }

    /// Runs the command in a folder that holds no model.
    ///
    /// - Parameters:
    ///   - program: The name of the program, which was built beside the tests.
    ///   - arguments: The command line behind the command's name.
    ///   - folder: Where relative paths lie, and the command's cache.
    ///   - input: What standard input has.
    ///   - terminal: What standard input and output are in place of that.
    ///   - environment: Variables beside those that every run gets.
    ///   - onLine: Called with the process for each line as it comes.
    /// - Returns: Its status and what it said.
    /// - Throws: What starting the process throws.
    static func run(
        program: String = "dreamfarm",
        _ arguments: [String],
        inFolder folder: String,
        input: Data = Data(),
        terminal: PseudoTerminal? = nil,
        environment: [String: String] = [:],
        onLine: (Process, String) -> Void = { _, _ in }
    ) throws -> CommandRun {
        let process = Process()
        process.executableURL = URL(filePath: CommandLine.arguments[0])
            .deletingLastPathComponent().appending(path: program)
        process.arguments = arguments
        process.currentDirectoryURL = URL(filePath: folder)
        process.environment = ["XDG_CACHE_HOME": "\(folder)/cache", "PATH": "/usr/bin:/bin"]
            .merging(environment) { $1 }
        let errors = Pipe()
        process.standardError = errors
        // Files, which hold what nobody reads yet.
        let streams = try StandardFiles(input: input)
        process.standardInput = terminal?.slave ?? streams.input
        process.standardOutput = terminal?.slave ?? streams.output
        try process.run()
        terminal?.begin()
        var lines: [String] = []
        var rest = Data()
        while case let data = errors.fileHandleForReading.availableData, !data.isEmpty {
            rest += data
            while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                lines.append(String(decoding: rest[..<end], as: UTF8.self))
                rest = Data(rest[(end + 1)...])
                onLine(process, lines[lines.count - 1])
            }
        }
        process.waitUntilExit()
        #expect(process.terminationReason == .exit, "\(arguments): \(lines)")
        return CommandRun(
            status: process.terminationStatus,
            lines: lines,
            output: try terminal?.end() ?? streams.written()
        )
    }
}

/// The files behind a run's standard input and output, removed with the value.
private final class StandardFiles {
    let input: FileHandle
    let output: FileHandle
    private let path: String

    init(input: Data) throws {
        path = FileManager.default.temporaryDirectory
            .appending(path: "dreamfarm-run-\(UUID().uuidString)").path(percentEncoded: false)
        try input.write(to: URL(filePath: "\(path).in"))
        try Data().write(to: URL(filePath: "\(path).out"))
        self.input = try FileHandle(forReadingFrom: URL(filePath: "\(path).in"))
        output = try FileHandle(forWritingTo: URL(filePath: "\(path).out"))
    }

    deinit {
        for kind in ["in", "out"] { try? FileManager.default.removeItem(atPath: "\(path).\(kind)") }
    }

    func written() throws -> Data { try Data(contentsOf: URL(filePath: "\(path).out")) }
}

/// A temporary folder with a copy of a committed model in `model`, to be broken.
final class ModelFolder {
    /// The committed models and pictures.
    static let goldens = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Goldens").path(percentEncoded: false)

    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory
            .appending(path: "dreamfarm-bad-\(UUID().uuidString)").path(percentEncoded: false)
        try FileManager.default.createDirectory(
            atPath: path,
            withIntermediateDirectories: true
        )
        try FileManager.default.copyItem(
            atPath: "\(Self.goldens)/two-references/model",
            toPath: "\(path)/model"
        )
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }

    /// Everything in it but the model and the cache, sorted.
    var files: [String] {
        get throws {
            try FileManager.default.contentsOfDirectory(atPath: path)
                .filter { $0 != "model" && $0 != "cache" }.sorted()
        }
    }

    func write(_ bytes: some Sequence<UInt8>, to name: String) throws {
        try Data(bytes).write(to: URL(filePath: "\(path)/\(name)"))
    }

    func bytes(of name: String) throws -> [UInt8] {
        try [UInt8](Data(contentsOf: URL(filePath: "\(path)/\(name)")))
    }

    func remove(_ name: String) throws {
        try FileManager.default.removeItem(atPath: "\(path)/\(name)")
    }

    /// Sets a key of a JSON file, or removes it.
    func set(_ key: String, to value: Any?, in name: String) throws {
        let data = try Data(contentsOf: URL(filePath: "\(path)/\(name)"))
        var object = try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
        object[key] = value
        try JSONSerialization.data(withJSONObject: object)
            .write(to: URL(filePath: "\(path)/\(name)"))
    }

    /// Changes a safetensors file: its header's text, and its values' bytes.
    func change(
        _ name: String,
        header change: (String) -> String = { $0 },
        values: (inout [UInt8]) -> Void = { _ in }
    ) throws {
        let bytes = try bytes(of: name)
        let count = bytes[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
        var header = Array(change(String(decoding: bytes[8..<8 + count], as: UTF8.self)).utf8)
        header += repeatElement(0x20, count: (8 - header.count % 8) % 8)
        var data = Array(bytes[(8 + count)...])
        values(&data)
        let length = (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) }
        try write(length + header + data, to: name)
    }
}
