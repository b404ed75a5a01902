import ArgumentParser

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
