import ArgumentParser
import FarmClient
import FarmModel

/// Usage: `dreamfarm groups ls|show|form|dissolve`.
struct GroupsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "groups",
        abstract: "Groups of workers that render one picture together.",
        subcommands: [List.self, Show.self, Form.self, Dissolve.self],
        defaultSubcommand: List.self
    )

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "ls",
            abstract: "List the groups: how far each is, and who is in it."
        )

        @Flag(help: "Those too that are dissolved.")
        var dissolved = false

        @OptionGroup var farm: FarmOptions

        func run() async throws {
            try await CommandExit.run {
                let groups = try await farm.client().groups(withDissolved: dissolved).all()
                var table = TextTable("GROUP", "STATE", "SIZE", "MODEL", "PRECISION", "MEMBERS")
                for group in groups {
                    table.add(
                        group.name,
                        group.state.rawValue,
                        GroupSheet.size(of: group),
                        group.model,
                        group.precision,
                        group.members.map(\.name).joined(separator: ", ")
                    )
                }
                try farm.show(
                    groups,
                    table,
                    none: "no groups: a job with requirements.group, or dreamfarm groups form, "
                        + "makes one"
                )
                return .done
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show a group, and how far each member is."
        )

        @Argument(help: "The group's name or id.", completion: .farm(.groups))
        var group: String

        @OptionGroup var farm: FarmOptions

        func run() async throws {
            try await CommandExit.run {
                let view = try await farm.client().group(group)
                try farm.show(view, GroupSheet.lines(of: view).joined(separator: "\n"))
                return .done
            }
        }
    }

    struct Form: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a group of workers, which finish what they hold first."
        )

        @Option(help: "How many workers; as many as are named where it is left out.")
        var size: Int?

        @Option(help: "The model's name.")
        var model: String?

        @Option(help: "The precision of the arithmetic, as int8.")
        var precision: String?

        @Option(help: "The pool.")
        var pool: String?

        @Option(help: "The group's name.")
        var name: String?

        @Argument(help: "Its workers by name, the first is rank 0; any where none is named.")
        var workers: [String] = []

        @OptionGroup var farm: FarmOptions

        func run() async throws {
            try await CommandExit.run {
                var request = GroupRequest(
                    size: size,
                    workers: workers.isEmpty ? nil : workers,
                    name: name
                )
                request.model = model
                request.precision = precision
                request.pool = pool
                let group = try await farm.client().formGroup(request)
                try farm.show(group, GroupSheet.summary(of: group))
                return .done
            }
        }
    }

    struct Dissolve: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let a group finish what it holds, and free its workers."
        )

        @Argument(help: "The group's name or id.", completion: .farm(.groups))
        var group: String

        @Flag(help: "Give back at once what it holds.")
        var now = false

        @OptionGroup var farm: FarmOptions

        func run() async throws {
            try await CommandExit.run {
                let view = try await farm.client().dissolveGroup(group, now: now)
                try farm.show(view, GroupSheet.summary(of: view))
                return .done
            }
        }
    }
}

/// A group in lines of text.
enum GroupSheet {
    /// Its size, with what was asked for where that is more.
    static func size(of group: GroupView) -> String {
        group.size == group.wantedSize ? "\(group.size)" : "\(group.size) of \(group.wantedSize)"
    }

    static func summary(of group: GroupView) -> String {
        let members =
            group.members.isEmpty
            ? "" : ": " + group.members.map(\.name).joined(separator: ", ")
        return "\(group.name) is \(group.state), \(size(of: group)) workers\(members)"
    }

    static func lines(of group: GroupView) -> [String] {
        var lines = [
            summary(of: group),
            "model \(group.model), \(group.precision), pool \(group.pool), epoch \(group.epoch)",
        ]
        if !group.numericClass.isEmpty { lines.append("numeric class \(group.numericClass)") }
        if let reason = group.reason { lines.append("last: \(reason)") }
        var table = TextTable("RANK", "WORKER", "PHASE", "STEP", "SUMS", "WAITS")
        for member in group.members {
            table.add(
                "\(member.rank)",
                member.isFit ? member.name : "\(member.name) (away)",
                member.phase.rawValue,
                perStep(member.figures, \.stepSeconds),
                perStep(member.figures, \.reduceSeconds),
                perStep(member.figures, \.waitSeconds)
            )
        }
        return lines + table.lines
    }

    /// Seconds of each denoise step.
    private static func perStep(
        _ figures: GroupFigures?,
        _ seconds: KeyPath<GroupFigures, Double>
    ) -> String {
        guard let figures, figures.steps > 0 else { return "-" }
        let each = figures[keyPath: seconds] / Double(figures.steps)
        return "\((each * 1000).rounded() / 1000) s"
    }
}
