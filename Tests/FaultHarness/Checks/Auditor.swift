import FarmModel
import FoundationEssentials
import Postgres

/// Asks the database for what must not be: `deploy/audit.sql`, which was written apart from the product.
struct Auditor: Sendable {
    private let invariants: [Query]

    /// Reads the statements of the file.
    init(repository: String) throws {
        let path = "\(repository)/deploy/audit.sql"
        let text = String(
            decoding: FileManager.default.contents(atPath: path) ?? Data(),
            as: UTF8.self
        )
        let bare = text.split(separator: "\n").filter { !$0.hasPrefix("--") }.joined(
            separator: "\n"
        )
        // Each gives two columns; the first has no name of its own.
        invariants = bare.split(separator: ";")
            .map { $0.trimmingPrefix(while: \.isWhitespace) }
            .filter { !$0.isEmpty }
            .map { Query(raw: "SELECT name, detail FROM (\($0)) AS violation (name, detail)") }
        guard invariants.count >= 20 else { throw HarnessError("\(path) has no invariants") }
    }

    /// What breaks an invariant now.
    func violations(_ pool: PostgresPool) async throws -> [Finding] {
        var found: [Finding] = []
        for invariant in invariants {
            for row in try await pool.query(invariant) {
                found.append(
                    Finding(name: try row.decode("name"), detail: try row.decode("detail"))
                )
            }
        }
        return found
    }

    /// Audits again and again while the farm works, until it is cancelled.
    func watch(_ pool: PostgresPool, _ log: RunLog) async {
        while !Task.isCancelled {
            // A database that is away is looked at when it is back.
            if let found = try? await violations(pool) {
                log.noteAudit()
                for finding in found { log.find(finding) }
            }
            try? await Task.sleep(for: .milliseconds(700))
        }
    }
}
