import ArgumentParser
import Diffusion
import FarmClient
import FarmModel
import FoundationEssentials
import Glibc
import Imaging

/// Usage: `dreamfarm verify PICTURE` or `dreamfarm verify --job JOB [PICTURE|--image N …]`.
struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Render pictures again on the farm and compare every byte.",
        discussion: """
            A file alone is rendered from what it says of itself. With --job the pictures that the \
            farm keeps are compared with what the job asks for, or a file with the image of its \
            name. A group's picture is rendered by a group, which is made where its workers are \
            there. Exits with 0 when all are equal, 1 when one is not, 7 when no worker of the \
            numeric class with the model is at hand, or too few for the group, or the last one \
            goes away.
            """
    )

    @Argument(help: "The picture's file.")
    var picture: String?

    @Option(help: "The job, by id or key, whose pictures are meant.")
    var job: String?

    @Option(help: "The image of the job with this index; may stand several times. All if left out.")
    var image: [Int] = []

    @Option(help: "Wait at most so long (8s, 2m, 1h), then exit with 5.")
    var timeout: DurationArgument?

    @OptionGroup var farm: FarmOptions

    func validate() throws {
        guard picture != nil || job != nil else {
            throw ValidationError("give a picture, or --job JOB")
        }
        if !image.isEmpty, job == nil || picture != nil {
            throw ValidationError("--image goes with --job and without a file")
        }
    }

    func run() async throws {
        try await CommandExit.run {
            let client = try farm.client()
            let verifier = PictureVerifier(client: client, timeout: timeout?.duration)
            var results: [VerificationResult] = []
            if let job {
                let job = try await client.job(job)
                for try await subject in client.images(of: job.id, state: .delivered)
                where isMeant(subject) {
                    results.append(try await check(subject, of: job, verifier, client))
                    try show(results[results.count - 1])
                }
                guard !results.isEmpty else { throw VerificationError.nothingMeant(job.name) }
            } else if let picture {
                results.append(try await verifier.check(file: picture))
                try show(results[0])
            }
            if farm.format == .json { print(try FarmJSON.text(results)) }
            return results.allSatisfy(\.isEqual) ? .done : .error
        }
    }

    private func isMeant(_ subject: ImageView) -> Bool {
        guard let picture else { return image.isEmpty || image.contains(subject.index) }
        return picture == subject.name || picture.hasSuffix("/\(subject.name)")
    }

    private func check(
        _ subject: ImageView,
        of job: JobView,
        _ verifier: PictureVerifier,
        _ client: CoordinatorClient
    ) async throws -> VerificationResult {
        guard let settings = subject.settings else {
            throw VerificationError.unreadableJob(job.name)
        }
        if let picture {
            return try await verifier.check(
                try PictureVerifier.bytes(of: picture),
                named: picture,
                against: settings,
                model: job.model
            )
        }
        let path = "\(FileManager.default.temporaryDirectory.path())/verify-\(subject.id).png"
        defer { unlink(path) }
        try await client.downloadImage(subject.id, to: path)
        return try await verifier.check(
            try PictureVerifier.bytes(of: path),
            named: subject.name,
            against: settings,
            model: job.model
        )
    }

    private func show(_ result: VerificationResult) throws {
        guard farm.format == .text else { return }
        print(shown("\(result.picture): \(result.finding)"))
    }
}

/// What the comparison of one picture found.
struct VerificationResult: Encodable {
    var picture: String
    var isEqual: Bool
    /// The result in words.
    var finding: String
    /// The job that rendered it again.
    var job: JobID
}

/// Why a picture could not be compared.
enum VerificationError: Error, CustomStringConvertible {
    case unreadable(String)
    case unknownModel(String)
    case noWorker(String)
    case noGroup(String, String)
    case nothingMeant(String)
    case unreadableJob(String)
    case notRendered(JobID, String?)
    case timedOut(JobID)

    var description: String {
        switch self {
        case .unreadable(let path): "\(path): the picture cannot be read; check the name"
        case .unknownModel(let digest):
            "no model of the farm has the digest \(digest) that the picture was made with; start "
                + "a worker with that model"
        case .noWorker(let numericClass):
            "no worker of the numeric class \(numericClass) with the model is at hand and takes "
                + "tasks: other processors and engines give other bytes"
        case .noGroup(let numericClass, let sentence):
            "no group makes pictures of the numeric class \(numericClass) now: \(sentence)"
        case .nothingMeant(let job):
            "the job \(job) has no delivered picture of that name or index"
        case .unreadableJob(let job):
            "the farm cannot read the specification of the job \(job); give the picture's file "
                + "without --job"
        case .notRendered(let job, let message):
            "the picture could not be rendered again (job \(job)): \(message ?? "see the job")"
        case .timedOut(let job): "the job \(job) that renders it again is not over yet"
        }
    }
}
