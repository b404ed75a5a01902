import Diffusion
import FarmClient
import FarmModel
import FoundationEssentials
import Glibc
import Imaging

/// Renders pictures again as jobs of a farm, and compares.
struct PictureVerifier {
    let client: CoordinatorClient
    let timeout: Duration?

    /// How often the workers that could render a picture are looked for.
    private static let look: Duration = .seconds(2)

    /// Reads a whole file.
    static func bytes(of path: String) throws -> [UInt8] {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw VerificationError.unreadable(path)
        }
        return [UInt8](data)
    }

    /// Checks a file against what it says of itself.
    func check(file path: String) async throws -> VerificationResult {
        let picture = try Self.bytes(of: path)
        let provenance = try Provenance(reading: picture, name: path)
        let models = try await client.models().all()
        guard let model = models.first(where: { $0.digest == provenance.farmModelDigest }) else {
            throw VerificationError.unknownModel(provenance.farmModelDigest)
        }
        return try await check(
            picture,
            named: path,
            against: RenderSettings(provenance),
            model: model.name
        )
    }

    /// Checks a picture's bytes against a new rendering of settings.
    func check(
        _ picture: [UInt8],
        named name: String,
        against settings: RenderSettings,
        model: String
    ) async throws -> VerificationResult {
        let numericClass = try Provenance(reading: picture, name: name).numericClass
        guard numericClass.ranks != nil, let digest = try await digest(of: model) else {
            throw VerificationError.noWorker("\(numericClass)")
        }
        let specification = try VerificationJob(
            settings: settings,
            model: model,
            numericClass: numericClass
        ).specification
        if try await !hasWorker(digest, numericClass) {
            guard numericClass.group != nil else {
                throw VerificationError.noWorker("\(numericClass)")
            }
            try Self.check(try await client.plan(specification).unrunnable.first, numericClass)
        }
        let job = try await client.submit(specification, key: nil)
        guard let ended = try await follow(job, numericClass) else {
            throw VerificationError.timedOut(job.id)
        }
        let image = try await client.images(of: job.id).all(limit: 1).first
        guard ended.state == .succeeded, let image else {
            throw VerificationError.notRendered(job.id, image?.failure?.message)
        }
        let path = "\(FileManager.default.temporaryDirectory.path())/verify-\(job.id).png"
        defer { unlink(path) }
        try await client.downloadImage(image.id, to: path)
        let again = try Self.bytes(of: path)
        guard try Provenance(reading: again, name: path).numericClass == numericClass else {
            throw VerificationError.noWorker(numericClass.description)
        }
        let comparison = try PictureComparison(picture, again, names: (name, "the rendering"))
        return VerificationResult(
            picture: name,
            isEqual: comparison == .sameBytes,
            finding: "\(comparison)",
            job: job.id
        )
    }

    // MARK: - Who can render it

    private func digest(of model: String) async throws -> String? {
        try await client.models().all().first { $0.name == model }?.digest
    }

    private func hasWorker(
        _ model: String,
        _ numericClass: Provenance.NumericClass
    ) async throws -> Bool {
        try await client.workers().all().contains { $0.takesTasks(of: model, in: numericClass) }
    }

    /// Throws where no worker and no group that there could be renders a picture; what only waits, for
    /// its turn, for a group that is made by itself, for room or the end of a pause, is waited for.
    static func check(_ obstacle: WhyView?, _ numericClass: Provenance.NumericClass) throws {
        guard let obstacle else { return }
        switch obstacle.reason {
        case .noWorker, .noPrecision, .noMemory:
            throw VerificationError.noWorker("\(numericClass)")
        case .noGroup:
            if case .mapping(let details) = obstacle.details, details["is_final"] == .bool(false) {
                return
            }
            throw VerificationError.noGroup("\(numericClass)", obstacle.sentence)
        default: return
        }
    }

    /// Follows a job to its end, nil when the time is over; cancels it when the last worker goes
    /// away that could render it.
    private func follow(
        _ job: JobView,
        _ numericClass: Provenance.NumericClass
    ) async throws -> JobView? {
        do {
            return try await withThrowingTaskGroup(of: JobView?.self) { group in
                group.addTask { [self] in
                    try await JobProgress(client: client, timeout: timeout).follow(job.id)
                }
                group.addTask { [self] in
                    try await watch(job, numericClass)
                    return nil
                }
                defer { group.cancelAll() }
                return try await group.next() ?? nil
            }
        } catch let error as VerificationError {
            _ = try await client.cancel(job.id)
            throw error
        }
    }

    /// Throws ``VerificationError`` when nobody renders the job and nobody is there who could.
    private func watch(_ job: JobView, _ numericClass: Provenance.NumericClass) async throws {
        while true {
            try await Task.sleep(for: Self.look)
            do {
                if try await hasWorker(job.modelDigest, numericClass) { continue }
                // Who is told to end finishes first what it is at.
                let images = try await client.job(job.id.description).images
                guard images.waiting > 0 else { continue }
                guard numericClass.group != nil else {
                    throw VerificationError.noWorker("\(numericClass)")
                }
                try Self.check(try await client.why(job.id).first, numericClass)
            } catch let error as FarmClientError where error.isAway {
                continue
            }
        }
    }
}

extension WorkerView {
    /// Whether it may claim a task of a model in a numeric class, now or when it has ended another.
    func takesTasks(of model: String, in numericClass: Provenance.NumericClass) -> Bool {
        modelDigest == model && self.numericClass == "\(numericClass)" && desiredState == .run
            && [.starting, .idle, .busy].contains(state)
    }
}
