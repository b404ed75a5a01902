import Diffusion
import Foundation

/// A render task as JSON: the schema of `reference/render_reference.py`, with its defaults.
struct TaskFile: Decodable, Equatable {
    struct Reference: Decodable, Equatable {
        var image: String
        var task: String?
        var index: Int?
    }

    var prompt: String?
    var width: Int?
    var height: Int?
    var steps: Int?
    var guidance: Float?
    var seed: UInt64?
    var first_step_guidance: Float?
    var negative_prompt: String?
    var neg_guidance: Float?
    var true_cfg: Float?
    var cfg_start: Int?
    var cfg_end: Int?
    var turbo: Bool?
    var version: String?
    var max_text_tokens: Int?
    var conditions: [Reference]?
    var posterior: Posterior?

    /// The values of keys that a task file leaves out.
    enum Defaults {
        static let side = 128
        static let steps = 4
        static let guidance: Float = 3.5
        static let seed: UInt64 = 0
        static let version = "v1.1"
    }

    enum ReadError: Error, Equatable, CustomStringConvertible {
        case unreadable(path: String)
        case syntax(path: String, reason: String)
        case key(path: String, key: String, problem: String)

        var description: String {
            switch self {
            case .unreadable(let path):
                "\(path): cannot be read: check the path of --task"
            case .syntax(let path, let reason):
                "\(path): is not a JSON object (\(reason)): compare it with the example in README.md"
            case .key(let path, let key, let problem):
                "\(path): \(key) \(problem)"
            }
        }
    }

    /// Reads a task file; relative paths in it are relative to it.
    static func read(_ path: String) throws(ReadError) -> TaskFile {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw .unreadable(path: path)
        }
        var task: TaskFile
        do {
            task = try JSONDecoder().decode(TaskFile.self, from: data)
        } catch let error as DecodingError {
            throw ReadError(error, path: path)
        } catch {
            throw .syntax(path: path, reason: "\(error)")
        }
        let folder = URL(filePath: path).deletingLastPathComponent()
        task.conditions = task.conditions?.map { condition in
            var condition = condition
            if !condition.image.hasPrefix("/") {
                let file = folder.appending(path: condition.image)
                condition.image = file.path(percentEncoded: false)
            }
            return condition
        }
        return task
    }

    /// The keys of a task file that are not part of the schema, sorted.
    static func unknownKeys(_ path: String) -> [String] {
        guard let data = FileManager.default.contents(atPath: path),
            let object = try? JSONSerialization.jsonObject(with: data) as? [String: Any]
        else { return [] }
        return object.keys.filter { CodingKeys(stringValue: $0) == nil }.sorted()
    }

    private enum CodingKeys: String, CodingKey {
        case prompt, width, height, steps, guidance, seed, first_step_guidance, negative_prompt
        case neg_guidance, true_cfg, cfg_start, cfg_end, turbo, version, max_text_tokens
        case conditions, posterior
    }
}

extension TaskFile {
    init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        func value<Value: Decodable>(_ key: CodingKeys) throws -> Value? {
            do {
                return try values.decodeIfPresent(Value.self, forKey: key)
            } catch let error as DecodingError {
                throw error
            } catch {
                // a number that the type cannot hold comes without the key it belongs to
                throw DecodingError.dataCorrupted(
                    DecodingError.Context(
                        codingPath: [key],
                        debugDescription: "holds a number that is out of range, or has a fraction"
                            + " where a whole one is wanted"
                    )
                )
            }
        }
        prompt = try value(.prompt)
        width = try value(.width)
        height = try value(.height)
        steps = try value(.steps)
        guidance = try value(.guidance)
        seed = try value(.seed)
        first_step_guidance = try value(.first_step_guidance)
        negative_prompt = try value(.negative_prompt)
        neg_guidance = try value(.neg_guidance)
        true_cfg = try value(.true_cfg)
        cfg_start = try value(.cfg_start)
        cfg_end = try value(.cfg_end)
        turbo = try value(.turbo)
        version = try value(.version)
        max_text_tokens = try value(.max_text_tokens)
        conditions = try value(.conditions)
        posterior = try value(.posterior)
    }
}

extension TaskFile.ReadError {
    fileprivate init(_ error: DecodingError, path: String) {
        func key(_ context: DecodingError.Context, _ last: (any CodingKey)? = nil) -> String {
            let keys = context.codingPath + (last.map { [$0] } ?? [])
            return keys.map { $0.intValue.map(String.init) ?? $0.stringValue }
                .joined(separator: ".")
        }
        switch error {
        case .typeMismatch(_, let context) where context.codingPath.isEmpty,
            .valueNotFound(_, let context) where context.codingPath.isEmpty:
            self = .syntax(path: path, reason: "something else is at its top")
        case .keyNotFound(let missing, let context):
            self = .key(path: path, key: key(context, missing), problem: "is missing: add it")
        case .typeMismatch(let type, let context):
            self = .key(path: path, key: key(context), problem: "is not \(Self.noun(type))")
        case .valueNotFound(let type, let context):
            self = .key(path: path, key: key(context), problem: "is null, not \(Self.noun(type))")
        case .dataCorrupted(let context) where !context.codingPath.isEmpty:
            let problem = "has a bad value: \(context.debugDescription)"
            self = .key(path: path, key: key(context), problem: problem)
        case .dataCorrupted(let context):
            let reason = context.underlyingError.map { "\($0)" } ?? context.debugDescription
            self = .syntax(path: path, reason: reason)
        @unknown default:
            self = .syntax(path: path, reason: "\(error)")
        }
    }

    private static func noun(_ type: any Any.Type) -> String {
        switch type {
        case is Int.Type, is UInt64.Type: "a whole number"
        case is Float.Type, is Double.Type: "a number"
        case is Bool.Type: "true or false"
        case is String.Type: "a string"
        case is [Any].Type: "a list"
        default: "of the right form: compare it with the example in README.md"
        }
    }
}
