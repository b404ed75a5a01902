import FoundationEssentials
import Glibc
import Tensors

/// Where the parts of a model lie: in its directory, else in the directory of further parts.
struct ModelPlaces {
    /// The model's directory.
    let root: String
    private let parts: String?
    /// The transformer's own file, or nil when it lies in the folder `transformer`.
    private let transformerFile: String?

    /// Looks for the transformer, which decides the layout.
    init(path: String, parts: String?) throws {
        self.parts = parts.map(Self.trimmed)
        for folder in [path, parts].compactMap(\.self) where access(folder, F_OK) != 0 {
            throw ModelError.missing(
                path: folder,
                what: "the model",
                remedy: "check the path, or make one with `dreamfarm model assemble`"
            )
        }
        for folder in [path, parts].compactMap(\.self) {
            try Self.checkReadable(folder)
        }
        guard Self.isFolder(path) else {
            let slash = path.lastIndex(of: "/")
            root = slash.map { String(path[..<$0]) } ?? "."
            transformerFile = path
            return
        }
        root = Self.trimmed(path)
        if Self.holdsWeights("\(root)/transformer") {
            transformerFile = nil
        } else {
            transformerFile = try Self.singleFile(root)
        }
    }

    /// The layout that the way of storing suggests; a single file may have either.
    var transformerLayout: ModelDirectory.Layout { transformerFile == nil ? .diffusers : .bfl }

    /// Opens the transformer's weights.
    func transformerSet() throws -> SafetensorsSet {
        if let transformerFile { return try SafetensorsSet(path: transformerFile) }
        return try SafetensorsSet(folder: "\(root)/transformer")
    }

    /// Opens the autoencoder's weights: BFL's file in the same directory, else the folder.
    func autoencoderSet() throws -> SafetensorsSet {
        for base in [root, parts].compactMap(\.self) {
            if transformerFile != nil, access("\(base)/ae.safetensors", F_OK) == 0 {
                return try SafetensorsSet(path: "\(base)/ae.safetensors")
            }
            if Self.isFolder("\(base)/vae"), Self.holdsWeights("\(base)/vae") {
                return try SafetensorsSet(folder: "\(base)/vae")
            }
            if access("\(base)/ae.safetensors", F_OK) == 0 {
                return try SafetensorsSet(path: "\(base)/ae.safetensors")
            }
        }
        throw ModelError.missing(
            path: "\(root)/vae",
            what: "the autoencoder (also as ae.safetensors)",
            remedy: "put it there, or name its directory with --parts"
        )
    }

    /// A file or folder of the model's own directory, or nil.
    func beside(_ name: String) -> String? {
        access("\(root)/\(name)", F_OK) == 0 ? "\(root)/\(name)" : nil
    }

    /// A file or folder of the model's directory, else of the further parts, or nil.
    func find(_ name: String) -> String? {
        [root, parts].compactMap(\.self).map { "\($0)/\(name)" }.first { access($0, F_OK) == 0 }
    }

    /// The folder of a part that must be there.
    func folder(_ name: String, _ what: String) throws(ModelError) -> String {
        guard let folder = find(name), Self.isFolder(folder) else {
            throw .missing(
                path: "\(root)/\(name)",
                what: what,
                remedy: "put it there, or name the directory that has it with --parts"
            )
        }
        return folder
    }

    /// Says which folder of a model may not be listed, which would else pass for an empty one.
    private static func checkReadable(_ base: String) throws(ModelError) {
        let parts = [
            "transformer", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2",
            "scheduler", "dreamo", "dreamo/v1.1",
        ]
        for folder in [base] + parts.map({ "\(base)/\($0)" }) where isFolder(folder) {
            guard access(folder, R_OK | X_OK) == 0 else {
                throw .unreadable(path: folder, reason: String(cString: strerror(errno)))
            }
        }
    }

    private static func trimmed(_ path: String) -> String {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        return path
    }

    private static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    private static func holdsWeights(_ folder: String) -> Bool {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.contains { $0.contains(".safetensors") }
    }

    private static func singleFile(_ folder: String) throws(ModelError) -> String {
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [])
            .filter { $0.hasSuffix(".safetensors") && $0 != "ae.safetensors" }
            .sorted()
        let published = ["flux1-dev.safetensors", "flux1-schnell.safetensors"]
            .filter(names.contains)
        let candidates = published.isEmpty ? names : published
        guard let file = candidates.first else {
            throw .missing(
                path: "\(folder)/transformer",
                what: "the transformer (also as flux1-dev.safetensors)",
                remedy: "put it there, or name another directory"
            )
        }
        guard candidates.count == 1 else {
            throw .contradiction(
                file: folder,
                problem: "holds several transformers (\(candidates.joined(separator: ", "))); "
                    + "name one of the files instead of the directory"
            )
        }
        return "\(folder)/\(file)"
    }
}
