import ArgumentParser
import FarmClient
import FarmModel

/// Usage: `dreamfarm retention ls`, `set OWNER [--outputs 720h] [--history 2160h]`, `rm OWNER`.
struct RetentionCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retention",
        abstract: "Say how long an owner's pictures and jobs are kept.",
        discussion: """
            Times count from the end of a job. Where an owner has no rule, the coordinator's settings \
            keep-outputs and keep-history hold.
            """,
        subcommands: [List.self, Set.self, Remove.self]
    )

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "ls",
            abstract: "List the owners' rules."
        )

        @OptionGroup var farm: FarmOptions

        func run() async throws {
            try await CommandExit.run {
                let rules = try await farm.client().retentionRules().all()
                var table = TextTable("OWNER", "OUTPUTS", "HISTORY")
                for rule in rules {
                    table.add(rule.owner, rule.outputs ?? "-", rule.history ?? "-")
                }
                try farm.show(rules, table, none: "no owner has a rule; the settings hold for all")
                return .done
            }
        }
    }

    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make an owner's rule, in the place of the one that there is."
        )

        @Argument(help: "Whose.")
        var owner: String

        @Option(
            help: "How long pictures are kept (720h, forever); as the settings say when left out."
        )
        var outputs: String?

        @Option(help: "How long jobs are kept; those with pictures stay as long as these.")
        var history: String?

        @OptionGroup var farm: FarmOptions

        func validate() throws {
            if outputs == nil, history == nil {
                throw ValidationError("give --outputs, --history, or both")
            }
            for text in [outputs, history].compactMap(\.self)
            where KeptTime.seconds(text) == nil {
                throw ValidationError("'\(text)' is no time: give 90s, 30m, 720h or forever")
            }
        }

        func run() async throws {
            try await CommandExit.run {
                let rule = try await farm.client().setRetention(
                    of: owner,
                    RetentionRequest(outputs: outputs, history: history)
                )
                try farm.show(
                    rule,
                    "'\(rule.owner)': pictures are kept \(Self.words(rule.outputs, "keep-outputs")), "
                        + "jobs \(Self.words(rule.history, "keep-history"))"
                )
                return .done
            }
        }

        private static func words(_ time: String?, _ setting: String) -> String {
            switch time {
            case nil: "as \(setting) says"
            case "forever": "for ever"
            case let time?: "for \(time)"
            }
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "rm",
            abstract: "Take an owner's rule away: the settings hold again."
        )

        @Argument(help: "Whose.")
        var owner: String

        @OptionGroup var farm: FarmOptions

        func run() async throws {
            try await CommandExit.run {
                try await farm.client().removeRetention(of: owner)
                return .done
            }
        }
    }
}
