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
            RenderCommand.self, ModelCommand.self, BenchCommand.self, SubmitCommand.self,
            JobsCommand.self,
            JobCommand.self, TasksCommand.self, WaitCommand.self, WatchCommand.self,
            LogsCommand.self, DownloadCommand.self, CancelCommand.self, PauseCommand.self,
            ResumeCommand.self, RetryCommand.self, KeepCommand.self, DropCommand.self,
            PrioritizeCommand.self, RemoveCommand.self,
            WhyCommand.self, VerifyCommand.self, WorkersCommand.self, WorkerCommand.self,
            GroupsCommand.self, PoolsCommand.self, ModelsCommand.self, BlobsCommand.self,
            TokensCommand.self, AccountsCommand.self, LimitsCommand.self, EraseCommand.self,
            RetentionCommand.self, AuditCommand.self, AuditsCommand.self, TopCommand.self,
            TraceCommand.self, CapacityCommand.self, UsageCommand.self, DoctorCommand.self,
            SimulateCommand.self, CompletionsCommand.self, CompleteCommand.self,
        ]
    )

    static func main() async { await runAsMain() }
}
