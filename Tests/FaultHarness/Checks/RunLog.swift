import FoundationEssentials
import Glibc
import Synchronization

/// What a run says on its way, and what it found that must not be.
final class RunLog: Sendable {
    private let prefix: String
    private let isQuiet: Bool
    private let begin = ContinuousClock.now
    private let found = Mutex<[Finding]>([])
    private let audited = Mutex(0)

    init(prefix: String, isQuiet: Bool = false) {
        self.prefix = prefix
        self.isQuiet = isQuiet
    }

    /// How often the database was audited while the farm worked.
    var audits: Int { audited.withLock { $0 } }

    func noteAudit() { audited.withLock { $0 += 1 } }

    var findings: [Finding] { found.withLock { $0 } }
    var seconds: Double { (ContinuousClock.now - begin).inSeconds }

    /// Writes a line to standard error.
    func say(_ text: String) {
        guard !isQuiet else { return }
        Self.write("\(prefix) \(seconds.tenths) s  \(text)")
    }

    /// Notes a finding, once.
    func find(_ finding: Finding) {
        let isNew = found.withLock { found in
            guard !found.contains(finding) else { return false }
            found.append(finding)
            return true
        }
        if isNew { Self.write("\(prefix) \(seconds.tenths) s  FOUND \(finding)") }
    }

    static func write(_ text: String) {
        let line = text + "\n"
        _ = Glibc.write(STDERR_FILENO, line, line.utf8.count)
    }
}
