import ArgumentParser
import FarmClient
import FarmModel
import FoundationEssentials

/// Usage: `dreamfarm tokens create --owner NAME [--role ROLE] [--expires 2160h]`, `create --role worker
/// --join once|pool [--pool NAME]`, `ls`, `revoke ID [--workers]`.
struct TokensCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokens",
        abstract: "Make, list and revoke tokens.",
        subcommands: [Create.self, List.self, Revoke.self]
    )

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a token; it is printed once and kept nowhere.",
            discussion: """
                With --join it is for a worker to join by: the worker gets a key of its own, which it \
                renews. 'once' lets one worker join, 'pool' any number into one pool.
                """
        )

        @Option(help: "Whose jobs the token's are; 'workers' when left out with --join.")
        var owner: String?

        @Option(help: "What it may do.")
        var role: TokenRole = .submitter

        @Option(
            help:
                "How long it is good (8s, 2m, 1h); for ever when left out, a day with --join once."
        )
        var expires: DurationArgument?

        @Option(help: "How workers join by it: once or pool.")
        var join: JoinKind?

        @Option(help: "The pool that they join; any when left out with --join once, else default.")
        var pool: String?

        @OptionGroup var farm: FarmOptions

        func validate() throws {
            if owner == nil, join == nil {
                throw ValidationError("give an --owner, whose jobs the token's are")
            }
            if join != nil, role != .worker {
                throw ValidationError("--join takes --role worker")
            }
            if pool != nil, join == nil {
                throw ValidationError("--pool takes --join once or --join pool")
            }
        }

        func run() async throws {
            try await CommandExit.run {
                let seconds = expires.map { Double($0.duration.components.seconds) }
                let token = try await farm.client().createToken(
                    TokenRequest(
                        owner: owner ?? "workers",
                        role: role,
                        expiresInSeconds: seconds,
                        join: join,
                        pool: pool
                    )
                )
                try farm.show(token, token.token ?? "")
                return .done
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "ls",
            abstract: "List the tokens, without their texts."
        )

        @OptionGroup var farm: FarmOptions

        func run() async throws {
            try await CommandExit.run {
                let tokens = try await farm.client().tokens().all()
                var table = TextTable("TOKEN", "OWNER", "ROLE", "JOINS", "CREATED", "ENDS")
                for token in tokens {
                    let end = token.revokedAt.map { "revoked \($0.formatted(.iso8601))" }
                    table.add(
                        "\(token.id)",
                        token.owner,
                        token.role.rawValue,
                        Self.joins(token),
                        token.createdAt.formatted(.iso8601),
                        end ?? token.expiresAt?.formatted(.iso8601) ?? "never"
                    )
                }
                try farm.show(tokens, table, none: "no tokens but the coordinator's own")
                return .done
            }
        }

        /// How workers join by a token, and how many have.
        private static func joins(_ token: TokenView) -> String {
            guard let join = token.join else { return "-" }
            let pool = token.pool.map { " into \($0)" } ?? ""
            let state = token.spentAt == nil ? "" : ", used"
            let workers = token.workers.map { ", \($0) workers" } ?? ""
            return join.rawValue + pool + state + workers
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Make a token worthless.")

        @Argument(help: "The token's id, as ls gives it.")
        var token: String

        @Flag(help: "Also remove the workers that joined by it; those that go on are shut out.")
        var workers = false

        @OptionGroup var farm: FarmOptions

        func validate() throws {
            if TokenID(token) == nil {
                throw ValidationError("'\(token)' is no token's id: see dreamfarm tokens ls")
            }
        }

        func run() async throws {
            try await CommandExit.run {
                guard let id = TokenID(token) else { return .error }
                try await farm.client().revokeToken(id, withWorkers: workers)
                return .done
            }
        }
    }
}

/// Usage: `dreamfarm blobs gc [--dry-run]`.
struct BlobsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "blobs",
        abstract: "Look after the blob store.",
        subcommands: [Sweep.self]
    )

    struct Sweep: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "gc",
            abstract: "Remove the blobs that no job, picture, artifact, checkpoint or model names."
        )

        @Flag(help: "Only say what would be removed.")
        var dryRun = false

        @OptionGroup var farm: FarmOptions

        func run() async throws {
            try await CommandExit.run {
                let sweep = try await farm.client().sweepBlobs(isDryRun: dryRun)
                try farm.show(
                    sweep,
                    "\(sweep.isDryRun ? "would remove" : "removed") \(sweep.removed) blobs "
                        + "(\(ByteCount.text(sweep.removedBytes))), kept \(sweep.kept) "
                        + "(\(ByteCount.text(sweep.keptBytes)))"
                )
                return .done
            }
        }
    }
}

extension TokenRole: ExpressibleByArgument {}
extension JoinKind: ExpressibleByArgument {}
