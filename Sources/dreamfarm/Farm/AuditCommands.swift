import ArgumentParser
import FarmClient
import FarmModel
import FoundationEssentials
import Glibc

/// Usage: `dreamfarm audit [--limit N] [--actor A] [--action A] [--target T] [--since T] [--until T]`,
/// `audit export [--csv] [--output FILE]` with the same filters.
struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Show or export who changed what.",
        subcommands: [List.self, Export.self],
        defaultSubcommand: List.self
    )

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "ls",
            abstract: "Show who changed what, newest first."
        )

        @Option(help: "At most so many.")
        var limit = 100

        @OptionGroup var filter: AuditOptions
        @OptionGroup var farm: FarmOptions

        func run() async throws {
            try await CommandExit.run {
                let entries = try await farm.client().auditTrail(filter.filter).all(limit: limit)
                var table = TextTable("WHEN", "WHO", "WHAT", "OF", "FROM")
                for entry in entries {
                    table.add(
                        entry.at.formatted(.iso8601),
                        entry.actor,
                        entry.action,
                        entry.target,
                        entry.origin ?? "-"
                    )
                }
                try farm.show(entries, table, none: "nothing was changed yet")
                return .done
            }
        }
    }

    struct Export: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write the audit to a file, oldest first: a line a record.",
            discussion: """
                Each line is a JSON object, as GET /v1/audit gives it, or with --csv a row of a table. \
                Records have numbers: an export that begins with --since some minutes before the end of \
                the last one leaves no gap, and numbers tell what is there twice.
                """
        )

        @Flag(help: "Write a table of comma-separated values, with a heading.")
        var csv = false

        @Option(help: "The file to write; - is standard output.")
        var output = "-"

        @OptionGroup var filter: AuditOptions
        @OptionGroup var farm: FarmOptions

        func validate() throws {
            guard output != "-" else { return }
            do {
                try OutputFile.checkWritable(output)
            } catch {
                throw ValidationError("\(error)")
            }
        }

        func run() async throws {
            try await CommandExit.run {
                var wanted = filter.filter
                wanted.order = .oldest
                let records = try farm.client().auditTrail(wanted)
                let file = try LineFile(output)
                if csv { try file.write(AuditTable.heading) }
                var count = 0
                for try await record in records {
                    try file.write(csv ? AuditTable.row(record) : FarmJSON.text(record))
                    count += 1
                }
                try file.finish()
                StandardError.write("exported \(count) records\n")
                return .done
            }
        }
    }
}

/// Which records of the audit a command is about.
struct AuditOptions: ParsableArguments {
    @Option(help: "Only what this owner did; 'farm' is the farm itself.")
    var actor: String?

    @Option(help: "Only this action (job.cancelled), or all that begin with a word (job).")
    var action: String?

    @Option(help: "Only what was done to this id or name.")
    var target: String?

    @Option(help: "From this moment on (2026-11-29T08:00:00Z).")
    var since: MomentArgument?

    @Option(help: "Before this moment.")
    var until: MomentArgument?

    var filter: AuditFilter {
        var filter = AuditFilter()
        filter.actor = actor
        filter.action = action
        filter.target = target
        filter.since = since?.date
        filter.until = until?.date
        return filter
    }
}

/// A moment on the command line, as RFC 3339 writes it.
struct MomentArgument: ExpressibleByArgument {
    var date: Date

    init?(argument: String) {
        guard let date = FarmJSON.date(argument) else { return nil }
        self.date = date
    }

    /// The moment as the API takes it.
    var text: String {
        date.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }
}

/// The audit as comma-separated values (RFC 4180).
enum AuditTable {
    static let heading = "number,at,actor,action,target,origin,detail"

    /// One record as a row.
    static func row(_ record: AuditView) throws -> String {
        [
            String(record.number),
            record.at.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true)),
            record.actor, record.action, record.target, record.origin ?? "",
            try FarmJSON.text(record.detail),
        ]
        .map(CommaSeparated.cell).joined(separator: ",")
    }
}

/// Comma-separated values (RFC 4180).
enum CommaSeparated {
    /// A cell, quoted where it has to be; what a spreadsheet would take for a formula begins with an
    /// apostrophe, since names are what people chose.
    static func cell(_ text: String) -> String {
        let isFormula = text.first.map { "=+-@\t\r".contains($0) } ?? false
        let text = isFormula ? "'\(text)" : text
        guard text.contains(where: { "\",\n\r\r\n".contains($0) }) else { return text }
        return "\"\(text.replacing("\"", with: "\"\""))\""
    }
}

/// A file that is written line by line, and stands under its name once it is whole.
private struct LineFile {
    private struct WriteError: Error, CustomStringConvertible {
        let path: String
        let reason: String

        var description: String { "\(path): cannot be written: \(reason)" }
    }

    private let path: String
    /// Where it is written until it is whole; nil for standard output.
    private let partial: String?
    private let descriptor: Int32

    init(_ path: String) throws {
        self.path = path
        guard path != "-" else {
            partial = nil
            descriptor = STDOUT_FILENO
            return
        }
        let partial = path + ".part"
        descriptor = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        self.partial = partial
        guard descriptor >= 0 else { throw Self.error(partial) }
    }

    func write(_ line: String) throws {
        var bytes = Array((line + "\n").utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else {
                if errno == EINTR { continue }
                throw Self.error(path)
            }
            bytes = bytes.dropFirst(count)
        }
    }

    func finish() throws {
        guard let partial else { return }
        guard fsync(descriptor) == 0, close(descriptor) == 0, rename(partial, path) == 0 else {
            throw Self.error(path)
        }
    }

    private static func error(_ path: String) -> WriteError {
        WriteError(path: path, reason: String(cString: strerror(errno)))
    }
}
