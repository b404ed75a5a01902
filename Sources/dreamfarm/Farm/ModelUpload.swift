import Diffusion
import FarmClient
import FarmModel
import FoundationEssentials
import Tensors

/// A model directory on its way into the farm's blob store.
struct ModelUpload {
    /// The directory's own name.
    let name: String
    let request: ModelRequest
    /// Where each file lies, by its digest.
    private let paths: [BlobDigest: String]

    /// Opens a model, and hashes it as a whole and each of its files.
    ///
    /// - Parameters:
    ///   - directory: The model's directory.
    ///   - adapters: DreamO's adapters by name; nil for those that are there.
    ///   - usesTurbo: Whether the turbo adapter belongs to the model.
    /// - Throws: An error that names the file and the remedy where the model cannot be used.
    init(directory: String, adapters: String?, usesTurbo: Bool) async throws {
        let model = try ModelDirectory(path: directory)
        let compute = Compute(threads: nil)
        let pipeline = try RenderPipeline(
            model: model,
            digest: try await model.baseDigest(threads: compute.threads, cache: .standard),
            selection: AdapterSelection(
                dreamO: try adapters.map { try AdapterSelection.choice(named: $0) } ?? .available,
                usesTurbo: usesTurbo
            ),
            compute: compute
        )
        name = URL(filePath: directory).standardized.lastPathComponent
        var paths: [BlobDigest: String] = [:]
        var files: [ModelFileView] = []
        for file in try Self.files(in: directory) {
            let path = "\(directory)/\(file)"
            let (digest, size) = try FileDigest.digest(of: path)
            paths[digest] = path
            files.append(ModelFileView(path: file, digest: digest, size: size))
        }
        self.paths = paths
        request = ModelRequest(
            digest: pipeline.digest.description,
            defaults: FarmModel.ModelDefaults(pipeline.defaults),
            files: files
        )
    }

    /// Uploads the files that the farm lacks.
    ///
    /// - Parameters:
    ///   - client: The farm.
    ///   - log: Receives a line a file.
    /// - Returns: How many were uploaded.
    /// - Throws: `FarmClientError` where the coordinator refuses or does not answer.
    func send(to client: CoordinatorClient, log: (String) -> Void) async throws -> Int {
        let missing = try await client.missingBlobs(Array(paths.keys))
        let sizes = Dictionary(
            request.files.map { ($0.digest, $0.size) },
            uniquingKeysWith: { first, _ in first }
        )
        for digest in missing {
            guard let path = paths[digest] else { continue }
            log("uploading \(path) (\(ByteCount.text(sizes[digest] ?? 0)))")
            try await client.uploadBlob(digest, file: path)
        }
        return missing.count
    }

    /// Every file in a folder and below it that is not hidden, relative to it, sorted.
    private static func files(in folder: String) throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: folder).filter { path in
            guard !path.split(separator: "/").contains(where: { $0.hasPrefix(".") }) else {
                return false
            }
            var isFolder = false
            return FileManager.default.fileExists(
                atPath: "\(folder)/\(path)",
                isDirectory: &isFolder
            ) && !isFolder
        }.sorted()
    }
}

extension FarmModel.ModelDefaults {
    /// The defaults that the engine read beside a model.
    init(_ defaults: RenderDefaults) {
        self.init(
            width: defaults.width,
            height: defaults.height,
            refRes: defaults.refRes,
            steps: defaults.steps,
            guidance: Double("\(defaults.guidance)") ?? Double(defaults.guidance)
        )
    }
}
