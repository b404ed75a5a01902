import ArgumentParser
import FarmClient
import FarmModel

/// Usage: `dreamfarm erase OWNER [--yes]`.
struct EraseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "erase",
        abstract: "Erase a person's data: jobs, pictures, references, conditions, tokens.",
        discussion: """
            Without --yes it only says what would be erased. Jobs that run are cancelled. Blobs that \
            another owner has too stay that owner's. What the audit trail says of the owner stays, as do \
            backups that were made before: erase again after restoring one.
            """
    )

    @Argument(help: "Whose data.")
    var owner: String

    @Flag(help: "Erase it; there is no way back.")
    var yes = false

    @OptionGroup var farm: FarmOptions

    func run() async throws {
        try await CommandExit.run {
            let view = try await farm.client().erase(owner, isPreview: !yes)
            try farm.show(view, Self.sentence(view))
            return .done
        }
    }

    private static func sentence(_ view: ErasureView) -> String {
        guard !view.isEmpty || view.isErased else { return "there is nothing of '\(view.owner)'" }
        let size = ByteCount.text(view.outputBytes)
        let what =
            "\(view.jobs) jobs (\(view.liveJobs) of them not over), \(view.outputs) pictures (\(size)), "
            + "\(view.artifacts) computed conditions, \(view.tokens) tokens, \(view.blobs) blobs "
            + "that nobody else has"
        return view.isErased
            ? "erased of '\(view.owner)': \(what)"
            : "would erase of '\(view.owner)': \(what); give --yes to do it"
    }
}
