/// One thing that is wrong, or doubtful, in a job specification.
package struct SpecificationProblem: Hashable, Codable, Sendable, CustomStringConvertible {
    /// Where it stands, as in `parameters.references[0][1].slot`; empty for the whole document.
    package var path: String
    /// What is wrong and what to do about it.
    package var message: String

    package init(path: String, message: String) {
        self.path = path
        self.message = message
    }

    package var description: String { path.isEmpty ? message : "\(path): \(message)" }
}

/// Everything that is wrong in a job specification, found at once.
package struct JobSpecificationError: Error, Hashable, Sendable, CustomStringConvertible {
    package var problems: [SpecificationProblem]

    package init(problems: [SpecificationProblem]) {
        self.problems = problems
    }

    package init(path: String, message: String) {
        problems = [SpecificationProblem(path: path, message: message)]
    }

    package var description: String {
        problems.map(\.description).joined(separator: "; ")
    }
}

/// What a reading of a specification has found so far.
struct SpecificationFindings {
    /// How many problems, and how many warnings, are told; the rest is counted.
    private static let mostTold = 200

    /// How many problems there are.
    private(set) var count = 0
    private var problems: [SpecificationProblem] = []
    private var told: [SpecificationProblem] = []
    private var warningCount = 0

    /// The warnings, cut where they are too many.
    var warnings: [SpecificationProblem] { Self.cut(told, of: warningCount) }

    mutating func refuse(_ path: String, _ message: String) {
        count += 1
        guard problems.count < Self.mostTold else { return }
        problems.append(SpecificationProblem(path: path, message: message))
    }

    mutating func warn(_ path: String, _ message: String) {
        warningCount += 1
        guard told.count < Self.mostTold else { return }
        told.append(SpecificationProblem(path: path, message: message))
    }

    private static func cut(
        _ problems: [SpecificationProblem],
        of count: Int
    ) -> [SpecificationProblem] {
        guard count > problems.count else { return problems }
        let rest = "and \(count - problems.count) more"
        return problems + [SpecificationProblem(path: "", message: rest)]
    }

    /// Refuses a key whose function a later release brings, rather than ignoring it.
    mutating func refuseUnsupported(_ path: String) {
        refuse(path, "is not supported yet by this release; leave it out")
    }

    /// Throws what was found, if it was anything but warnings.
    func check() throws(JobSpecificationError) {
        guard count == 0 else {
            throw JobSpecificationError(problems: Self.cut(problems, of: count))
        }
    }
}

/// The word of `known` that is fewest edits away from `word`.
func nearest(to word: String, among known: some Sequence<String>) -> String? {
    known.min { editDistance(word, $0) < editDistance(word, $1) }
}

private func editDistance(_ first: String, _ second: String) -> Int {
    let second = Array(second.utf8)
    var row = Array(0...second.count)
    for (i, byte) in first.utf8.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for j in second.indices {
            let substituted = diagonal + (byte == second[j] ? 0 : 1)
            diagonal = row[j + 1]
            row[j + 1] = min(substituted, diagonal + 1, row[j] + 1)
        }
    }
    return row[second.count]
}
