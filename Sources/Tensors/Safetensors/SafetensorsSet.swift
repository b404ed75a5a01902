import FoundationEssentials
import Glibc

/// The weights of one network: a single file, or the shards that an index lists.
package struct SafetensorsSet: ParameterSource {
    /// The files, in the order of their names.
    package let files: [SafetensorsFile]
    private let places: [String: Int]

    /// The usual names of a network's weights, without their extension.
    package static let usualNames = ["diffusion_pytorch_model", "model"]

    /// The weights of one opened file.
    package init(file: SafetensorsFile) {
        files = [file]
        places = file.entries.mapValues { _ in 0 }
    }

    /// Opens one file, or the shards of an index when the path ends in `.index.json`.
    package init(path: String) throws(SafetensorsError) {
        if path.hasSuffix(".index.json") {
            self = try Self(index: path)
        } else {
            self.init(file: try SafetensorsFile(path: path))
        }
    }

    /// Opens the weights in a folder by one of their usual names, single or sharded.
    package init(
        folder: String,
        names: [String] = SafetensorsSet.usualNames
    ) throws(SafetensorsError) {
        let candidates = names.flatMap { ["\($0).safetensors", "\($0).safetensors.index.json"] }
        for candidate in candidates where access("\(folder)/\(candidate)", F_OK) == 0 {
            self = try Self(path: "\(folder)/\(candidate)")
            return
        }
        throw .noWeights(folder: folder, names: candidates)
    }

    private init(index path: String) throws(SafetensorsError) {
        let shards = try Self.weightMap(path)
        let folder = path.lastIndex(of: "/").map { path[...$0] } ?? ""
        let names = Set(shards.values).sorted()
        var files: [SafetensorsFile] = []
        for name in names {
            guard access(folder + name, F_OK) == 0 else {
                let tensor = shards.filter { $0.value == name }.keys.min() ?? ""
                throw .missingShard(index: path, shard: name, tensor: tensor)
            }
            files.append(try SafetensorsFile(path: folder + name))
        }
        let order = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
        let places = shards.compactMapValues { order[$0] }
        for (tensor, place) in places.sorted(by: { $0.key < $1.key })
        where files[place].entries[tensor] == nil {
            throw .notInShard(index: path, shard: names[place], tensor: tensor)
        }
        self.files = files
        self.places = places
    }

    private static func weightMap(_ path: String) throws(SafetensorsError) -> [String: String] {
        struct Index: Decodable {
            var weight_map: [String: String]
        }
        guard let data = try? Data(contentsOf: URL(filePath: path)) else {
            throw .unreadable(file: path, reason: "it is missing or not a readable file")
        }
        guard let index = try? JSONDecoder().decode(Index.self, from: data) else {
            throw .index(file: path, problem: "no object 'weight_map' of names to files")
        }
        for (tensor, shard) in index.weight_map {
            guard !shard.isEmpty, !shard.contains("/"), shard != ".." else {
                throw .index(file: path, problem: "'\(tensor)' is put into '\(shard)'")
            }
        }
        guard !index.weight_map.isEmpty else {
            throw .index(file: path, problem: "its 'weight_map' is empty")
        }
        return index.weight_map
    }

    /// The tensors' names, sorted.
    package var names: [String] { places.keys.sorted() }

    /// How error messages call the set: its file, or the folder of its shards.
    package var location: String {
        let first = files.first?.path ?? ""
        guard files.count > 1, let slash = first.lastIndex(of: "/") else { return first }
        return String(first[..<slash])
    }

    /// The file that holds a tensor.
    package func file(of name: String) -> SafetensorsFile? {
        places[name].map { files[$0] }
    }

    /// The header's entry of a tensor.
    package func entry(_ name: String) -> SafetensorsEntry? {
        file(of: name)?.entries[name]
    }

    /// The shape of the tensor with that name, or nil when the set has none.
    package func shape(of name: String) -> [Int]? { entry(name)?.shape }

    /// Reads one tensor as float32, row-major.
    package func read(
        _ name: String,
        shape: [Int],
        into destination: UnsafeMutableBufferPointer<Float>
    ) throws {
        try requiredFile(name).read(name, shape: shape, into: destination)
    }

    /// Reads consecutive values of one tensor as float32; see `SafetensorsFile`.
    package func read(
        _ name: String,
        elements: Range<Int>,
        into destination: UnsafeMutableBufferPointer<Float>,
        isFollowed: Bool = true
    ) throws(SafetensorsError) {
        try requiredFile(name).read(
            name,
            elements: elements,
            into: destination,
            isFollowed: isFollowed
        )
    }

    /// The file that holds a tensor, or the error that says it is missing.
    package func requiredFile(_ name: String) throws(SafetensorsError) -> SafetensorsFile {
        guard let file = file(of: name) else {
            throw .missing(file: location, tensor: name)
        }
        return file
    }
}
