import ArgumentParser
import FarmClient
import FarmModel
import FoundationEssentials
import Glibc
import HTTPTransport
import Imaging

/// Usage: `dreamfarm download JOB --to DIR|- [--contact-sheet FILE|--drafts] [--show]`.
struct DownloadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "download",
        abstract: "Fetch the delivered pictures of a job."
    )

    @Argument(help: "The job's id or key.", completion: .farm(.jobs))
    var job: String

    @Option(
        name: [.customLong("to"), .customLong("output")],
        help: """
            The folder to put the pictures in; those that are there already are not fetched. - writes them \
            to standard output: the picture of a job of one, else a zip file.
            """
    )
    var output: String

    @Flag(help: "With --to -, write pictures' bytes to a terminal too.")
    var force = false

    @Option(
        help: """
            Make one PNG of all pictures, at this path: a row for each prompt and set of \
            references, which stand at its left.
            """
    )
    var contactSheet: String?

    @Flag(
        help: """
            The drafts' pictures instead, to decide by: each is named like its image, with .draft \
            before the ending.
            """
    )
    var drafts = false

    @OptionGroup(title: "Showing") var showing: ShowOptions
    @OptionGroup var farm: FarmOptions

    func validate() throws {
        guard !drafts || contactSheet == nil else {
            throw ValidationError("--contact-sheet is of finished pictures; leave --drafts out")
        }
        guard output == StandardOutput.name else { return }
        if drafts {
            throw ValidationError("--drafts needs a folder: give --to DIR, not --to -")
        }
        if contactSheet != nil {
            throw ValidationError("--contact-sheet needs a folder: give --to DIR, not --to -")
        }
        if farm.format == .json {
            throw ValidationError("--to - and -o json both want standard output: give --to DIR")
        }
    }

    func run() async throws {
        try await CommandExit.run {
            let isStream = output == StandardOutput.name
            if isStream { try StandardOutput.checkReader(option: "--to", isForced: force) }
            let isOutputTaken = isStream || farm.format == .json
            let display = try showing.display(isOutputTaken: isOutputTaken)
            let client = try farm.client()
            let job = try await client.job(job)
            if drafts {
                try await fetchDrafts(of: job, from: client)
                return .done
            }
            if isStream {
                try await stream(job, from: client, display)
                return .done
            }
            var pictures: [DeliveredPicture] = []
            for try await image in client.images(of: job.id, state: .delivered) {
                let path = try await fetch(image, from: client)
                pictures.append(DeliveredPicture(path: path, settings: image.settings))
                if farm.format == .text { print(path) }
                warn(of: image)
                if let display {
                    // Its path stands before it.
                    fflush(nil)
                    try display.show(try ImageDecoder().bytes(ofFile: path), name: path)
                }
            }
            if let contactSheet {
                try await writeContactSheet(of: pictures, to: contactSheet, from: client)
            }
            if farm.format == .json { print(try FarmJSON.text(pictures.map(\.path))) }
            tellMissing(of: job, delivered: pictures.count)
            return .done
        }
    }

    /// Writes the pictures to standard output: the one of a job of one, else a zip file.
    private func stream(
        _ job: JobView,
        from client: CoordinatorClient,
        _ display: PictureDisplay?
    ) async throws {
        guard job.images.delivered > 0 else { throw DownloadError.nothing(self.job) }
        let isOne = job.images.total == 1
        if !isOne {
            for try await chunk in try await client.archive(of: job.id) {
                try StandardOutput.write(Array(chunk))
            }
        }
        for try await image in client.images(of: job.id, state: .delivered) {
            warn(of: image)
            guard isOne || display != nil else { continue }
            let data = try await client.picture(image.id)
            guard image.digest == nil || BlobDigest(of: data).rawValue == image.digest else {
                throw DownloadError.damaged(image.name)
            }
            if isOne { try StandardOutput.write(Array(data)) }
            try display?.show(Array(data), name: image.name)
        }
        tellMissing(of: job, delivered: job.images.delivered)
    }

    private func warn(of image: ImageView) {
        guard let doubt = image.doubt else { return }
        StandardError.write("warning: \(shown("\(image.name): \(doubt)"))\n")
    }

    private func tellMissing(of job: JobView, delivered: Int) {
        let missing = job.images.total - delivered
        guard missing > 0 else { return }
        StandardError.write("\(missing) of \(job.images.total) images are not delivered\n")
    }

    /// Fetches the picture of each draft that is kept.
    private func fetchDrafts(of job: JobView, from client: CoordinatorClient) async throws {
        var paths: [String] = []
        for try await image in client.images(of: job.id) {
            guard let draft = image.draft, let digest = draft.digest else { continue }
            let type = DraftPictureType(mediaType: draft.mediaType) ?? .jpeg
            let name = image.name.hasSuffix(".png") ? String(image.name.dropLast(4)) : image.name
            let path = try await fetch("\(name).draft.\(type.fileExtension)", digest) {
                try await client.downloadDraft(of: image.id, to: $0)
            }
            paths.append(path)
            if farm.format == .text { print(path) }
        }
        if farm.format == .json { print(try FarmJSON.text(paths)) }
        if paths.isEmpty { StandardError.write("no image of the job has a draft\n") }
    }

    private func fetch(_ image: ImageView, from client: CoordinatorClient) async throws -> String {
        try await fetch(image.name, image.digest) {
            try await client.downloadImage(image.id, to: $0)
        }
    }

    /// Fetches one picture beside its place, checks its digest, and renames it.
    private func fetch(
        _ name: String,
        _ digest: String?,
        _ download: (String) async throws -> Void
    ) async throws -> String {
        guard OutputName.isSafe(name) else { throw DownloadError.unsafeName(name) }
        let path = output + "/" + name
        if let digest, let data = FileManager.default.contents(atPath: path),
            BlobDigest(of: data).rawValue == digest
        {
            return path
        }
        let folder = path.split(separator: "/", omittingEmptySubsequences: false).dropLast()
            .joined(separator: "/")
        do {
            try FileManager.default.createDirectory(
                atPath: folder,
                withIntermediateDirectories: true
            )
        } catch {
            throw DownloadError.unwritable(folder)
        }
        let aside = path + ".part"
        defer { unlink(aside) }
        try await download(aside)
        guard let data = FileManager.default.contents(atPath: aside),
            digest == nil || BlobDigest(of: data).rawValue == digest
        else { throw DownloadError.damaged(name) }
        guard rename(aside, path) == 0 else { throw DownloadError.unwritable(path) }
        return path
    }

    private func writeContactSheet(
        of pictures: [DeliveredPicture],
        to path: String,
        from client: CoordinatorClient
    ) async throws {
        guard !pictures.isEmpty else {
            StandardError.write("no picture is delivered: there is no contact sheet\n")
            return
        }
        let sheet = JobSheet(pictures)
        var references: [BlobDigest: PixelImage] = [:]
        for (digest, name) in sheet.references {
            do {
                references[digest] = try await thumbnail(of: digest, for: sheet, from: client)
            } catch let error where !(error is CancellationError) {
                StandardError.write(
                    "warning: \(shown("\(name) is left out of the sheet: \(error)"))\n"
                )
            }
        }
        try AtomicFile.write(path, try sheet.png(references: references))
    }

    /// A reference, fetched beside the pictures and scaled for the sheet.
    private func thumbnail(
        of digest: BlobDigest,
        for sheet: JobSheet,
        from client: CoordinatorClient
    ) async throws -> PixelImage {
        let aside = "\(output)/.\(digest).part"
        defer { unlink(aside) }
        try await client.downloadBlob(digest, to: aside)
        return sheet.layout.fitted(try ImageDecoder().decode(path: aside))
    }
}

/// Why a picture is not on the disk.
enum DownloadError: Error, CustomStringConvertible {
    case unsafeName(String)
    case unwritable(String)
    case damaged(String)
    case nothing(String)

    var description: String {
        switch self {
        case .unsafeName(let name):
            "the farm gives the name '\(name)', which leaves the folder: submit the job with"
                + " another output.name"
        case .unwritable(let path): "\(path): cannot be written; check --to"
        case .damaged(let name): "\(name) came with other bytes than were delivered; try again"
        case .nothing(let job):
            "no picture of '\(job)' is delivered yet; dreamfarm wait \(job) waits until all are"
        }
    }
}
