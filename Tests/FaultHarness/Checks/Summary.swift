import FoundationEssentials

/// What all runs have come to.
struct Summary: Sendable, Codable {
    /// How the farm came out of the faults of a kind.
    struct Kind: Sendable, Codable {
        var kind: String
        var count: Int
        var notRecovered: Int
        /// Seconds.
        var median: Double
        var worst: Double
    }

    var runs: Int
    var images: Int
    var blobs: Int
    var audits: Int
    var lapses: Int
    var retried: Int
    var seconds: Double
    var kinds: [Kind]
    var findings: [Finding]
    /// Each run with its faults.
    var reports: [RunReport]

    init(_ reports: [RunReport]) {
        self.reports = reports
        runs = reports.count
        images = reports.reduce(0) { $0 + $1.images }
        blobs = reports.reduce(0) { $0 + $1.blobs }
        audits = reports.reduce(0) { $0 + $1.audits }
        lapses = reports.reduce(0) { $0 + $1.lapses }
        retried = reports.reduce(0) { $0 + $1.retried }
        seconds = reports.reduce(0) { $0 + $1.seconds }
        findings = reports.flatMap(\.findings)
        kinds = Dictionary(grouping: reports.flatMap(\.faults), by: \.kind)
            .map { Self.kind($0, $1) }.sorted { $0.kind < $1.kind }
    }

    private static func kind(_ name: String, _ faults: [FaultRecord]) -> Kind {
        let times = faults.compactMap(\.recoverySeconds).sorted()
        return Kind(
            kind: name,
            count: faults.count,
            notRecovered: faults.count - times.count,
            median: times.isEmpty ? 0 : times[times.count / 2],
            worst: times.last ?? 0
        )
    }

    /// Whether what was found is what a farm without its fence does.
    ///
    /// That is pictures of attempts that were over; nothing else counts, least of all that a run failed.
    var findsMissingFence: Bool {
        let names = Set(findings.map(\.name))
        return !names.isDisjoint(with: ["other-bytes", "stale-delivery", "success-of-another"])
            && names.isDisjoint(with: ["run-failed", "not-stopped", "not-delivered", "job-lost"])
    }

    var text: String {
        let width = max(24, kinds.map(\.kind.count).max() ?? 0)
        func row(_ name: String, _ cells: [String]) -> String {
            name.padding(width)
                + cells.map { String(repeating: " ", count: max(1, 10 - $0.count)) + $0 }.joined()
        }
        let head = row("fault", ["times", "median s", "worst s"])
        let rows = kinds.map {
            row($0.kind, ["\($0.count)", "\($0.median.hundredths)", "\($0.worst.hundredths)"])
        }
        return
            ([head] + rows + [
                "\(runs) runs, \(kinds.reduce(0) { $0 + $1.count }) faults, \(kinds.count) kinds, \(images) images, "
                    + "\(blobs) blobs hashed, \(audits) audits on the way, \(lapses) leases lapsed, "
                    + "\(retried) images given up and retried, \(Int(seconds)) s",
                verdict,
            ]).joined(separator: "\n")
    }

    private var verdict: String {
        guard findings.isEmpty else {
            return "FOUND \(findings.count): "
                + Set(findings.map(\.name)).sorted().joined(separator: ", ")
        }
        return images == 0
            ? "clean: every schema as one that nobody disturbed"
            : "clean: no image lost, none delivered twice, no two leases on a task, no stale write, "
                + "every digest right"
    }

    var json: String {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            return String(decoding: try encoder.encode(self), as: UTF8.self)
        }
    }
}

extension String {
    fileprivate func padding(_ width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - count))
    }
}
