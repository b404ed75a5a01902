import ArgumentParser
import FarmClient
import FarmModel
import FoundationEssentials

/// Usage: `dreamfarm tokens create --owner NAME [--role ROLE] [--expires 90d]`, `ls`, `revoke ID`.
struct TokensCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokens",
        abstract: "Make, list and revoke tokens.",
        subcommands: [Create.self, List.self, Revoke.self]
    )

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a token; it is printed once and kept nowhere."
        )

        @Option(help: "Whose jobs the token's are.")
        var owner: String

        @Option(help: "What it may do.")
        var role: TokenRole = .submitter

        @Option(help: "How long it is good (8s, 2m, 1h); for ever when left out.")
        var expires: DurationArgument?

        @OptionGroup var farm: FarmOptions

        func run() async throws {
            try await CommandExit.run {
                let seconds = expires.map { Double($0.duration.components.seconds) }
                let token = try await farm.client().createToken(
                    TokenRequest(owner: owner, role: role, expiresInSeconds: seconds)
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
                var table = TextTable("TOKEN", "OWNER", "ROLE", "CREATED", "ENDS")
                for token in tokens {
                    let end = token.revokedAt.map { "revoked \($0.formatted(.iso8601))" }
                    table.add(
                        "\(token.id)",
                        token.owner,
                        token.role.rawValue,
                        token.createdAt.formatted(.iso8601),
                        end ?? token.expiresAt?.formatted(.iso8601) ?? "never"
                    )
                }
                try farm.show(tokens, table, none: "no tokens but the coordinator's own")
                return .done
            }
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Make a token worthless.")

        @Argument(help: "The token's id, as ls gives it.")
        var token: String

        @OptionGroup var farm: FarmOptions

        func validate() throws {
            if TokenID(token) == nil {
                throw ValidationError("'\(token)' is no token's id: see dreamfarm tokens ls")
            }
        }

        func run() async throws {
            try await CommandExit.run {
                guard let id = TokenID(token) else { return .error }
                try await farm.client().revokeToken(id)
                return .done
            }
        }
    }
}

/// Usage: `dreamfarm audit [--limit N]`.
struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Show who changed what, newest first."
    )

    @Option(help: "At most so many.")
    var limit = 100

    @OptionGroup var farm: FarmOptions

    func run() async throws {
        try await CommandExit.run {
            let entries = try await farm.client().auditTrail().all(limit: limit)
            var table = TextTable("WHEN", "WHO", "WHAT", "OF", "FROM")
            for entry in entries {
                table.add(
                    entry.at.formatted(.iso8601),
                    entry.actor,
                    entry.action,
                    entry.target,
                    entry.origin ?? "-"
                )
            }
            try farm.show(entries, table, none: "nothing was changed yet")
            return .done
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
