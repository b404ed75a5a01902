import ArgumentParser
import FarmClient
import FarmModel

/// Usage: `dreamfarm limits ls`, `set NAME COUNT`, `rm NAME`.
struct LimitsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "limits",
        abstract: "List, set and remove named limits, as the licences of a program.",
        discussion: """
            A job that names limits under requirements.limits takes a place of each for every task of it \
            that is at work. There are never more tasks at work than places, whosever jobs they are of.
            """,
        subcommands: [List.self, Set.self, Remove.self]
    )

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "ls",
            abstract: "List the limits, for operators with the jobs that have places."
        )

        @OptionGroup var farm: FarmOptions

        func run() async throws {
            try await CommandExit.run {
                let limits = try await farm.client().limits().all()
                var table = TextTable("LIMIT", "USED", "PLACES", "JOBS")
                for limit in limits {
                    let jobs = limit.jobs?.map { "\($0.job) (\($0.owner), \($0.tasks))" }
                    table.add(
                        limit.name,
                        "\(limit.used)",
                        "\(limit.count)",
                        jobs.map { $0.isEmpty ? "-" : $0.joined(separator: " ") } ?? "-"
                    )
                }
                try farm.show(limits, table, none: "no limit is set")
                return .done
            }
        }
    }

    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Set how many places a limit has; 0 stops what asks for it."
        )

        @Argument(help: "The limit's name: letters, digits, '.', '_' and '-'.")
        var name: String

        @Argument(help: "How many tasks may have a place at one time.")
        var count: Int

        @OptionGroup var farm: FarmOptions

        func validate() throws {
            if JobKey(rawValue: name) == nil {
                throw ValidationError("'\(name)' is no name of letters, digits, '.', '_' and '-'")
            }
            if count < 0 { throw ValidationError("a limit has 0 places or more") }
        }

        func run() async throws {
            try await CommandExit.run {
                let limit = try await farm.client().setLimit(name, count: count)
                try farm.show(limit, "\(limit.name): \(limit.used) of \(limit.count) in use")
                return .done
            }
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "rm",
            abstract: "Remove a limit: what asks for it waits until it is set again."
        )

        @Argument(help: "The limit's name.")
        var name: String

        @OptionGroup var farm: FarmOptions

        func run() async throws {
            try await CommandExit.run {
                try await farm.client().removeLimit(name)
                return .done
            }
        }
    }
}
