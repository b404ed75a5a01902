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
    private(set) var problems: [SpecificationProblem] = []
    private(set) var warnings: [SpecificationProblem] = []

    mutating func refuse(_ path: String, _ message: String) {
        problems.append(SpecificationProblem(path: path, message: message))
    }

    mutating func warn(_ path: String, _ message: String) {
        warnings.append(SpecificationProblem(path: path, message: message))
    }

    /// Refuses a key whose function a later release brings, rather than ignoring it.
    mutating func refuseUnsupported(_ path: String) {
        refuse(path, "is not supported yet by this release; leave it out")
    }

    /// Throws what was found, if it was anything but warnings.
    func check() throws(JobSpecificationError) {
        guard problems.isEmpty else { throw JobSpecificationError(problems: problems) }
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
