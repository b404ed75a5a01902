import ArgumentParser
import FarmClient
import FarmModel

/// Usage: `dreamfarm keep JOB INDEX|RANGE... ` or `dreamfarm keep JOB --all`.
struct KeepCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keep",
        abstract: "Let drafts of a job go on to finished pictures, each from where it stands."
    )

    @Argument(help: "The job's id or key.", completion: .farm(.jobs))
    var job: String

    @Argument(help: "Indices of images, and ranges of them as 0-3.")
    var images: [String] = []

    @Flag(help: "Every draft that waits now.")
    var all = false

    @OptionGroup var farm: FarmOptions

    func validate() throws {
        _ = try DraftChoice.indices(images, isAll: all, "--all")
    }

    func run() async throws {
        let indices = try DraftChoice.indices(images, isAll: all, "--all")
        try await farm.change(job) { try await $0.keep($1, images: indices) }
    }
}

/// Usage: `dreamfarm drop JOB INDEX|RANGE... ` or `dreamfarm drop JOB --rest`.
struct DropCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drop",
        abstract: "Cancel drafts of a job; their pictures and checkpoints are kept no longer."
    )

    @Argument(help: "The job's id or key.", completion: .farm(.jobs))
    var job: String

    @Argument(help: "Indices of images, and ranges of them as 0-3.")
    var images: [String] = []

    @Flag(help: "Every draft that waits now.")
    var rest = false

    @OptionGroup var farm: FarmOptions

    func validate() throws {
        _ = try DraftChoice.indices(images, isAll: rest, "--rest")
    }

    func run() async throws {
        let indices = try DraftChoice.indices(images, isAll: rest, "--rest")
        try await farm.change(job) { try await $0.drop($1, images: indices) }
    }
}

/// Which drafts a command is about.
private enum DraftChoice {
    /// The indices that are written; nil for all drafts.
    ///
    /// - Parameters:
    ///   - words: What is written.
    ///   - isAll: Whether all are meant.
    ///   - flag: The flag that says so.
    /// - Returns: The indices.
    /// - Throws: `ValidationError` for both or neither, and for what is no index.
    static func indices(_ words: [String], isAll: Bool, _ flag: String) throws -> [Int]? {
        guard words.isEmpty == isAll else {
            throw ValidationError("give either indices of images or \(flag)")
        }
        guard !isAll else { return nil }
        guard let indices = ImageIndices.indices(in: words) else {
            throw ValidationError(
                "'\(words.joined(separator: " "))' must be indices of images and ranges of them, as 0 2-5"
            )
        }
        return indices
    }
}
