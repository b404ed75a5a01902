import ArgumentParser
import FarmModel

/// The command `dreamfarm`.
@main
struct Dreamfarm: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dreamfarm",
        abstract: "A render farm for DreamO pictures.",
        version: FarmSettings.version,
        subcommands: [
            RenderCommand.self, ModelCommand.self, SubmitCommand.self, DownloadCommand.self,
            JobsCommand.self, JobCommand.self, CancelCommand.self,
        ]
    )

    static func main() async { await runAsMain() }
}
