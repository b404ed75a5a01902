import ArgumentParser
import FarmClient
import FarmModel
import HTTPTransport

/// Usage: `dreamfarm completions bash|zsh|fish`.
struct CompletionsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "completions",
        abstract: "Print the completion script of a shell.",
        discussion: """
            bash: dreamfarm completions bash > ~/.local/share/bash-completion/completions/dreamfarm
            zsh: dreamfarm completions zsh > a folder of $fpath, as _dreamfarm
            fish: dreamfarm completions fish > ~/.config/fish/completions/dreamfarm.fish
            """
    )

    enum Shell: String, ExpressibleByArgument, CaseIterable {
        case bash
        case zsh
        case fish
    }

    @Argument(help: "The shell.")
    var shell: Shell

    func run() {
        let script: CompletionShell =
            switch shell {
            case .bash: .bash
            case .zsh: .zsh
            case .fish: .fish
            }
        print(Dreamfarm.completionScript(for: script))
    }
}

/// Usage: `dreamfarm complete jobs|workers|groups|models|pools`, which completion scripts ask.
struct CompleteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "complete",
        abstract: "Print the names that a completion script offers.",
        shouldDisplay: false
    )

    enum Kind: String, ExpressibleByArgument, CaseIterable {
        case jobs
        case workers
        case groups
        case models
        case pools
    }

    /// A shell does not offer more in a way that anybody reads.
    private static let most = 200
    /// Who presses a key waits no longer.
    private static let patience: Duration = .seconds(2)

    @Argument(help: "What to name.")
    var kind: Kind

    @OptionGroup var farm: FarmOptions

    func run() async throws {
        // Who presses a key wants no message where the farm is away, and no second try.
        guard let client = try? farm.client(retry: .never) else { return }
        let found = await withTaskGroup(of: [String].self) { [kind] group in
            group.addTask { (try? await Self.names(of: kind, client)) ?? [] }
            group.addTask {
                try? await Task.sleep(for: Self.patience)
                return []
            }
            defer { group.cancelAll() }
            return await group.next() ?? []
        }
        for name in found { print(name) }
    }

    private static func names(
        of kind: Kind,
        _ client: CoordinatorClient
    ) async throws -> [String] {
        switch kind {
        case .jobs:
            try await client.jobs().all(limit: most).flatMap { job in
                [job.id.description] + (job.key.map { [$0] } ?? [])
            }
        case .workers: try await client.workers().all(limit: most).map(\.name)
        case .groups: try await client.groups().all(limit: most).map(\.name)
        case .models: try await client.models().all(limit: most).map(\.name)
        case .pools: try await client.farm().pools.map(\.name)
        }
    }
}

extension CompletionKind {
    /// The names that the farm has of some kind now.
    static func farm(_ kind: CompleteCommand.Kind) -> CompletionKind {
        .shellCommand("dreamfarm complete \(kind.rawValue) 2>/dev/null")
    }
}
