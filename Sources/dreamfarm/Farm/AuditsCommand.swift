import ArgumentParser
import FarmClient
import FarmModel
import FoundationEssentials

/// Usage: `dreamfarm audits ls [--state STATE] [--limit N]`, `show NUMBER`, `pictures NUMBER`.
struct AuditsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audits",
        abstract: "Pictures that were rendered again by another worker, and what came of it.",
        discussion: """
            The coordinator draws them by its setting audit-share. Who changed what in the farm is told \
            by dreamfarm audit.
            """,
        subcommands: [List.self, Show.self, Pictures.self],
        defaultSubcommand: List.self
    )

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "ls",
            abstract: "List the audits, the newest first."
        )

        @Option(help: "Those in one state: different and undecided are the findings.")
        var state: PictureAuditState?

        @Option(help: "At most so many.")
        var limit = 100

        @OptionGroup var farm: FarmOptions

        func run() async throws {
            try await CommandExit.run {
                let audits = try await farm.client().pictureAudits(state: state).all(limit: limit)
                var table = TextTable("AUDIT", "STATE", "IMAGE", "WORKERS", "LIAR", "SUSPECTS")
                for audit in audits {
                    table.add(
                        "\(audit.number)",
                        audit.state.rawValue,
                        "\(audit.image)",
                        audit.renderings.map { $0.worker ?? "-" }.joined(separator: ", "),
                        audit.liar ?? "-",
                        audit.suspects.isEmpty ? "-" : audit.suspects.joined(separator: ", ")
                    )
                }
                try farm.show(audits, table, none: "no picture was audited: see audit-share")
                return .done
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show an audit: who made which bytes of the picture."
        )

        @Argument(help: "The audit's number, as ls gives it.")
        var number: Int64

        @OptionGroup var farm: FarmOptions

        func run() async throws {
            try await CommandExit.run {
                let audit = try await farm.client().pictureAudit(number)
                try farm.show(audit, Self.lines(of: audit).joined(separator: "\n"))
                return .done
            }
        }

        private static func lines(of audit: PictureAuditView) -> [String] {
            var lines = [
                "audit \(audit.number): \(audit.state.rawValue)",
                "image \(audit.image), \(audit.index) of job \(audit.job) of \(audit.owner)",
                "class \(audit.numericClass)",
            ]
            for (place, rendering) in audit.renderings.enumerated() {
                let what = place == 0 ? "delivered" : "copy \(place)"
                let made = rendering.worker.map { "\($0): \(rendering.digest ?? "")" }
                lines.append(
                    "\(what): \(made ?? "not made")\(rendering.isShared ? " (others began it)" : "")"
                )
            }
            if let liar = audit.liar {
                lines.append("two others contradict \(liar), which is quarantined")
                lines.append("what it delivered: dreamfarm audits pictures \(audit.number)")
            }
            if !audit.suspects.isEmpty {
                lines.append("suspects: \(audit.suspects.joined(separator: ", "))")
            }
            return lines
        }
    }

    struct Pictures: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List what a liar delivered since it was last found right.",
            discussion: "These pictures may be wrong, too: render them again, or verify them."
        )

        @Argument(help: "The audit's number, as ls gives it.")
        var number: Int64

        @OptionGroup var farm: FarmOptions

        func run() async throws {
            try await CommandExit.run {
                let pictures = try await farm.client().pictures(ofLiarIn: number).all()
                var table = TextTable("IMAGE", "JOB", "INDEX", "OWNER", "DELIVERED")
                for picture in pictures {
                    table.add(
                        "\(picture.image)",
                        "\(picture.job)",
                        "\(picture.index)",
                        picture.owner,
                        picture.deliveredAt.formatted(.iso8601)
                    )
                }
                try farm.show(pictures, table, none: "the audit \(number) found no liar")
                return .done
            }
        }
    }
}

extension PictureAuditState: ExpressibleByArgument {}
