package import FoundationEssentials

/// How bad what a check found is.
package enum FindingLevel: String, Codable, CaseIterable, Sendable {
    /// It works, and will not for long, or worse than it could.
    case warning
    /// Something does not work.
    case failure
}

/// Something that a check of the farm found, and what to do about it.
package struct FindingView: Codable, Hashable, Sendable {
    /// What was looked at, as `clocks`.
    package var check: String
    package var level: FindingLevel
    /// What was found, in a sentence.
    package var message: String
    /// What to do about it.
    package var remedy: String

    package init(_ check: String, _ level: FindingLevel, _ message: String, remedy: String) {
        self.check = check
        self.level = level
        self.message = message
        self.remedy = remedy
    }
}

/// What a coordinator found of the farm and itself.
package struct DoctorView: Codable, Hashable, Sendable {
    /// The release of the coordinator that answers.
    package var version: String
    /// Its time of day.
    package var now: Date
    /// The checks that were made, in order.
    package var checks: [String]
    package var findings: [FindingView]

    package init(version: String, now: Date, checks: [String], findings: [FindingView]) {
        self.version = version
        self.now = now
        self.checks = checks
        self.findings = findings
    }
}
