import ArgumentParser
import FarmClient
import FarmModel
import FoundationEssentials
import Imaging

/// Usage: `dreamfarm doctor`.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Look for what is wrong with the farm, and say what to do about it.",
        discussion: """
            Looks at the database, the clocks of the coordinator, the workers and this machine, the blob \
            store and its room, the certificate, releases, workers that are slower than others of their \
            class, and models that no job names. Prints nothing but a line where nothing is found. Exits \
            with 1 where something is.
            """
    )

    /// From how far on this machine's clock differs from the coordinator's, in seconds.
    private static let clockTolerance = 3.0

    @OptionGroup var farm: FarmOptions

    func run() async throws {
        try await CommandExit.run {
            let client = try farm.client()
            let asked = Date()
            var view = try await client.doctor()
            view.findings += Self.own(view, between: asked, and: Date())
            switch farm.format {
            case .json: print(try FarmJSON.text(view))
            case .text:
                for finding in view.findings {
                    print(shown("\(finding.check): \(finding.level.rawValue): \(finding.message)"))
                    print(shown("    \(finding.remedy)"))
                }
                if view.findings.isEmpty {
                    print("nothing found (\(view.checks.joined(separator: ", ")))")
                }
            }
            return view.findings.isEmpty ? .done : .error
        }
    }

    /// What is wrong on this machine: its clock, and the release of this command.
    private static func own(
        _ view: DoctorView,
        between asked: Date,
        and answered: Date
    ) -> [FindingView] {
        var findings: [FindingView] = []
        // The coordinator's clock was read somewhere between the two, to a second.
        let early = asked.timeIntervalSince(view.now)
        let late = view.now.timeIntervalSince(answered)
        if max(early, late) > clockTolerance {
            findings.append(
                FindingView(
                    "clocks",
                    .warning,
                    "this machine's clock is \(Int(max(early, late))) s "
                        + "\(early > 0 ? "ahead of" : "behind") the coordinator's",
                    remedy: "have both keep the time by NTP (timedatectl set-ntp true)"
                )
            )
        }
        if view.version != FarmSettings.version {
            findings.append(
                FindingView(
                    "versions",
                    .warning,
                    "this command is of release \(FarmSettings.version), and the coordinator of "
                        + view.version,
                    remedy: "install the coordinator's release here, too"
                )
            )
        }
        return findings
    }
}

/// Usage: `dreamfarm capacity`.
struct CapacityCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "capacity",
        abstract: "Show how many workers each pool has, and should have for what is queued.",
        discussion: """
            The coordinator's capacity-target says how long what is queued may take; what is wanted by a \
            time (finish_by) may ask for more. An autoscaler reads the same as \
            dreamfarm_capacity_recommended_workers.
            """
    )

    @OptionGroup var farm: FarmOptions

    func run() async throws {
        try await CommandExit.run {
            let capacity = try await farm.client().capacity()
            guard farm.format == .text else {
                print(try FarmJSON.text(capacity))
                return .done
            }
            var table = TextTable("POOL", "WORKERS", "SHOULD BE", "IMAGES", "WORK", "DONE IN", "")
            for pool in capacity.pools {
                table.add(
                    pool.pool,
                    String(pool.workers),
                    String(pool.recommended),
                    String(pool.images),
                    pool.workSeconds.map(TimeText.short) ?? "unknown",
                    pool.seconds.map(TimeText.short) ?? "-",
                    Self.note(on: pool)
                )
            }
            try farm.show(capacity.pools, table, none: "no pools: no worker ever was there")
            return .done
        }
    }

    private static func note(on pool: PoolCapacityView) -> String {
        if pool.isPaused { return "paused" }
        return pool.missedDeadline.map { "late for \($0.formatted(.iso8601))" } ?? ""
    }
}

/// Lengths of time for people.
enum TimeText {
    /// `45 s`, `12 min`, `3.5 h` or `2.1 d`.
    static func short(_ seconds: Double) -> String {
        switch seconds {
        case ..<120: "\(Int(seconds.rounded())) s"
        case ..<7200: "\(Int((seconds / 60).rounded())) min"
        case ..<172_800: "\((seconds / 360).rounded() / 10) h"
        default: "\((seconds / 8640).rounded() / 10) d"
        }
    }

    /// When a job is foreseen to end, with the band; nil where nothing is known.
    static func eta(of job: JobView) -> String? {
        guard let seconds = job.etaSeconds else { return nil }
        guard let earliest = job.etaEarliestSeconds, let latest = job.etaLatestSeconds else {
            return short(seconds)
        }
        return "\(short(seconds)) (\(short(earliest)) to \(short(latest)))"
    }
}
