import FarmClient
import FarmModel
import FoundationEssentials
import Postgres

/// What a run has asked for, held against what it got: by the database, by the events, by the API and by the files.
struct Ledger: Sendable {
    let farm: Farm
    let log: RunLog
    /// The digests of the starter model's pictures by seed, as `dreamfarm render` makes them.
    let rendered: [Int64: BlobDigest]

    /// Compares a job's pictures, each of them, with what they have to be.
    ///
    /// - Returns: How many there are.
    func check(_ reader: EventReader) async throws -> Int {
        let row = try await farm.pool.query(
            """
            SELECT specification::text AS specification, model_name, event_count
            FROM job WHERE id = \(reader.job.description)::uuid
            """
        ).first
        guard let row else {
            log.find(Finding(name: "job-lost", detail: "\(reader.job)"))
            return 0
        }
        let events = try row.decode("event_count", as: Int64.self)
        try await farm.wait("the events of \(reader.job) are read", within: .seconds(30)) {
            reader.last >= events
        }
        let told = reader.deliveries(log)
        let job = try ResolvedJob(json: try row.decode("specification"))
        let isReal = try row.decode("model_name", as: String.self) == "starter"
        var views: [Int: ImageView] = [:]
        for view in try await farm.client(of: 1).images(of: reader.job).all() {
            views[view.index] = view
        }
        for index in 0..<job.imageCount {
            let settings = job.settings(at: index)
            let digest =
                isReal
                ? rendered[settings.seed]
                : BlobDigest(of: try SimulatedModel.picture(of: settings, index: index))
            try await check(views[index], told[index], digest, "job \(reader.job) image \(index)")
        }
        return job.imageCount
    }

    private func check(
        _ view: ImageView?,
        _ told: String?,
        _ digest: BlobDigest?,
        _ name: String
    ) async throws {
        guard let view, view.state == .delivered else {
            return log.find(
                Finding(
                    name: "not-delivered",
                    detail: "\(name) is \(view?.state.rawValue ?? "not there")"
                )
            )
        }
        guard let digest else {
            return log.find(
                Finding(name: "not-rendered", detail: "\(name) has nothing to be compared with")
            )
        }
        if view.digest != digest.rawValue {
            log.find(
                Finding(
                    name: "other-bytes",
                    detail: "\(name) is \(view.digest ?? "nothing"), not \(digest)"
                )
            )
        }
        if told != digest.rawValue {
            log.find(
                Finding(
                    name: "told-otherwise",
                    detail: "\(name) was told as \(told ?? "nothing"), not \(digest)"
                )
            )
        }
        let path = "\(farm.folder)/download"
        try await farm.client(of: 0).downloadImage(view.id, to: path)
        let bytes = FileManager.default.contents(atPath: path) ?? Data()
        if BlobDigest(of: bytes) != digest {
            log.find(Finding(name: "sent-otherwise", detail: "\(name) is sent with other bytes"))
        }
    }

    /// Hashes every blob of the store, named by the database or not.
    ///
    /// - Returns: How many there are.
    func checkBlobs() throws -> Int {
        var count = 0
        let files = FileManager.default
        for folder in try files.contentsOfDirectory(atPath: farm.blobs)
        where folder.count == 2 && folder.allSatisfy(\.isHexDigit) {
            for name in try files.contentsOfDirectory(atPath: "\(farm.blobs)/\(folder)") {
                // What was never finished has another name, and is no blob.
                guard let digest = BlobDigest(rawValue: name) else { continue }
                count += 1
                let bytes = files.contents(atPath: "\(farm.blobs)/\(folder)/\(name)") ?? Data()
                if BlobDigest(of: bytes) != digest {
                    log.find(Finding(name: "blob-changed", detail: "\(name) has other bytes"))
                }
            }
        }
        return count
    }
}
