import ArgumentParser
import FarmClient
import FarmModel
import FoundationEssentials
import Imaging

/// Usage: `dreamfarm usage [--since T] [--until T] [--owner OWNER] [--csv]`.
struct UsageCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "usage",
        abstract: "Show what owners used of the farm: pictures and seconds of workers.",
        discussion: """
            Counts what ended in the time, as far as the farm's history goes back (keep-history). Seconds \
            are those in which a worker computed; a group's count once.
            """
    )

    @Option(help: "From this moment on (2026-11-29T08:00:00Z).")
    var since: MomentArgument?

    @Option(help: "Before this moment.")
    var until: MomentArgument?

    @Option(help: "Only this owner's.")
    var owner: String?

    @Flag(help: "Print a table of comma-separated values, with a heading.")
    var csv = false

    @OptionGroup var farm: FarmOptions

    func validate() throws {
        guard !csv || farm.format == .text else {
            throw ValidationError("--csv and --format json are two formats; give one")
        }
    }

    func run() async throws {
        try await CommandExit.run {
            let usage = try await farm.client().usage(
                since: since?.text,
                until: until?.text,
                of: owner
            ).all()
            guard !csv else {
                print("owner,images,image_bytes,attempts,useful_seconds,lost_seconds,steps")
                for owner in usage { print(Self.row(owner)) }
                return .done
            }
            var table = TextTable("OWNER", "IMAGES", "BYTES", "ATTEMPTS", "USEFUL", "LOST", "STEPS")
            for owner in usage {
                table.add(
                    owner.owner,
                    String(owner.images),
                    ByteCount.text(owner.imageBytes),
                    String(owner.attempts),
                    TimeText.short(owner.usefulSeconds),
                    TimeText.short(owner.lostSeconds),
                    String(owner.steps)
                )
            }
            try farm.show(usage, table, none: "nothing was used in that time")
            return .done
        }
    }

    private static func row(_ usage: UsageView) -> String {
        [
            CommaSeparated.cell(usage.owner), "\(usage.images)", "\(usage.imageBytes)",
            "\(usage.attempts)", "\(usage.usefulSeconds)", "\(usage.lostSeconds)", "\(usage.steps)",
        ]
        .joined(separator: ",")
    }
}
