/// What can be wrong with a file of weights, each said in one line with its remedy.
package enum SafetensorsError: Error, Equatable, CustomStringConvertible {
    /// The file cannot be opened or mapped.
    case unreadable(file: String, reason: String)
    /// The file ends before its header says so.
    case truncated(file: String, holds: Int, promises: Int)
    /// The header is not what the format asks for.
    case header(file: String, problem: String)
    /// The header's entry of one tensor contradicts itself or the file.
    case entry(file: String, tensor: String, problem: String)
    /// A tensor that was asked for is not there.
    case missing(file: String, tensor: String)
    /// A tensor has another shape than the configuration asks for.
    case shape(file: String, tensor: String, holds: [Int], wanted: [Int])
    /// A tensor's type has no conversion to float32.
    case type(file: String, tensor: String, type: String)
    /// A tensor holds NaN or an infinity.
    case notFinite(file: String, tensor: String, index: Int, value: Float)
    /// A folder holds no weights under one of the usual names.
    case noWeights(folder: String, names: [String])
    /// The index of a sharded model is not what the format asks for.
    case index(file: String, problem: String)
    /// A shard that the index names is not there.
    case missingShard(index: String, shard: String, tensor: String)
    /// The index puts a tensor into a shard that does not have it.
    case notInShard(index: String, shard: String, tensor: String)
    /// A file cannot be written; nothing stays of it.
    case unwritable(file: String, reason: String)

    /// The file or folder that it is about.
    package var file: String {
        switch self {
        case .unreadable(let file, _), .truncated(let file, _, _), .header(let file, _),
            .entry(let file, _, _), .missing(let file, _), .shape(let file, _, _, _),
            .type(let file, _, _), .notFinite(let file, _, _, _), .noWeights(let file, _),
            .index(let file, _), .missingShard(let file, _, _), .notInShard(let file, _, _),
            .unwritable(let file, _):
            file
        }
    }

    package var description: String {
        switch self {
        case .unreadable(let file, let reason):
            "\(file): cannot be read: \(reason); check the path and its permissions"
        case .truncated(let file, let holds, let promises):
            "\(file): holds \(holds) bytes, its header promises \(promises); download it again"
        case .header(let file, let problem):
            "\(file): not a safetensors file: \(problem); download it again"
        case .entry(let file, let tensor, let problem):
            "\(file): the header's entry '\(tensor)' \(problem); download it again"
        case .missing(let file, let tensor):
            "\(file): has no tensor '\(tensor)'; use the weights that belong to this configuration"
        case .shape(let file, let tensor, let holds, let wanted):
            "\(file): '\(tensor)' has shape \(holds), the configuration asks for \(wanted); "
                + "use the config.json that belongs to these weights"
        case .type(let file, let tensor, let type):
            "\(file): '\(tensor)' has type \(type), which is no type of weights; "
                + "use a file in F32, F16, BF16, F8_E4M3 or F8_E5M2"
        case .notFinite(let file, let tensor, let index, let value):
            "\(file): '\(tensor)' holds \(value) at index \(index); the weights are damaged, "
                + "download or export them again"
        case .noWeights(let folder, let names):
            "\(folder): holds none of \(names.joined(separator: ", ")); put the weights there"
        case .index(let file, let problem):
            "\(file): not an index of shards: \(problem); download it again"
        case .missingShard(let index, let shard, let tensor):
            "\(index): names the shard \(shard) (for '\(tensor)'), which is not beside it; "
                + "download the shard"
        case .notInShard(let index, let shard, let tensor):
            "\(index): puts '\(tensor)' into \(shard), which does not hold it; "
                + "download index and shards again, from one place"
        case .unwritable(let file, let reason):
            "\(file): cannot be written: \(reason); choose another path or free some space, "
                + "nothing was left behind"
        }
    }
}
