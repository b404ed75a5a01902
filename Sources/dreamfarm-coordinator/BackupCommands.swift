import ArgumentParser
import FarmCoordinator
import FarmModel

extension DreamfarmCoordinator {
    /// Makes a backup.
    struct Backup: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Back up the database and its blobs, while the farm runs.",
            discussion: """
                Each backup gets a folder of its own, by time; blobs that an earlier one has are not \
                copied again. Takes pg_dump of the server's version or later. Exits with 1 where blobs \
                are lost; the backup is made nevertheless.
                """
        )

        @Option(help: "The folder of backups; made where it is not there.")
        var to: String

        @Option(help: "How many backups to keep in it; all when left out.")
        var keep: Int?

        @Flag(inversion: .prefixedNo, help: "Copy the blobs, or only list and look for them.")
        var blobs = true

        @Flag(help: "Read the copies of earlier backups, and copy anew what was damaged there.")
        var verify = false

        @OptionGroup var settings: CoordinatorOptions

        func validate() throws {
            if verify, !blobs {
                throw ValidationError("--verify reads copies, which --no-blobs makes none of")
            }
            if let keep, keep < 1 { throw ValidationError("--keep must be 1 or more, not \(keep)") }
        }

        func run() async throws {
            let record = try await settings.coordinator().backup(
                to: to,
                copyingBlobs: blobs,
                verifying: verify,
                keeping: keep
            ) { complain($0 + "\n") }
            let size = ByteCount.text(record.blobBytes)
            let expired = record.expired == 0 ? "" : ", \(record.expired) pictures kept no longer"
            print("backup \(record.name): \(record.blobs) blobs, \(size)\(expired)")
            guard !record.lost.isEmpty else { return }
            complain("lost: blobs that rows name and the store does not have, or has damaged:\n")
            complain(record.lost.map { "  \($0)\n" }.joined())
            throw ExitCode.failure
        }
    }

    /// Restores a backup.
    struct Restore: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Restore a backup into an empty database, while no coordinator serves it.",
            discussion: """
                The database has to be empty, the blob store may be new or the one it was. Takes \
                pg_restore of the server's version or later. One that was cut short is begun again by \
                the same command. Exits with 1 where something is lost.
                """
        )

        @Option(help: "The folder of backups.")
        var from: String

        @Option(help: "Which backup; the newest when left out.")
        var name: String?

        @Flag(help: "Only read and verify what would be restored.")
        var dryRun = false

        @OptionGroup var settings: CoordinatorOptions

        func run() async throws {
            let report = try await settings.coordinator().restore(
                from: from,
                name: name,
                isDryRun: dryRun
            ) { complain($0 + "\n") }
            let verb = report.isDryRun ? "would be restored" : "restored"
            let record = report.record
            print("backup \(record.name) \(verb): \(record.blobs) blobs, \(report.copied) copied")
            if !report.applied.isEmpty { print("migrated: \(report.applied.count) steps") }
            for digest in report.lost { complain("lost: blob \(digest)\n") }
            for violation in report.violations { complain("audit: \(violation)\n") }
            if !report.isWhole { throw ExitCode.failure }
        }
    }
}
