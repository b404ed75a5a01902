import FoundationEssentials
import Glibc

/// Reads a JSON configuration of a model and says which key is missing or wrong.
struct ConfigurationFile {
    let path: String

    /// Decodes the file.
    ///
    /// - Parameters:
    ///   - type: The configuration to make of it.
    ///   - defaults: Values, as JSON, of keys that published files leave out because they are
    ///     upstream's defaults.
    /// - Returns: The configuration.
    /// - Throws: `ModelError.configuration` naming the file and the key.
    func decode<Value: Decodable>(
        _ type: Value.Type,
        defaults: [String: String] = [:]
    ) throws(ModelError) -> Value {
        guard let data = try? Data(contentsOf: URL(filePath: path)) else {
            guard access(path, F_OK) != 0 else {
                let isDenied = access(path, R_OK) != 0
                throw .unreadable(
                    path: path,
                    reason: isDenied ? String(cString: strerror(errno)) : "it is not a file"
                )
            }
            throw .missing(
                path: path,
                what: "the configuration",
                remedy: "take it from the published model"
            )
        }
        return try decode(type, from: data, defaults: defaults)
    }

    private func decode<Value: Decodable>(
        _ type: Value.Type,
        from data: Data,
        defaults: [String: String]
    ) throws(ModelError) -> Value {
        do {
            return try JSONDecoder().decode(type, from: data)
        } catch DecodingError.keyNotFound(let key, let context) {
            let name = (context.codingPath + [key]).map(\.stringValue).joined(separator: ".")
            guard let value = defaults[name], let brace = data.firstIndex(of: UInt8(ascii: "{"))
            else { throw .configuration(file: path, problem: "has no key '\(name)'") }
            var completed = data
            completed.insert(contentsOf: "\"\(name)\":\(value),".utf8, at: brace + 1)
            return try decode(type, from: completed, defaults: defaults.filter { $0.key != name })
        } catch DecodingError.valueNotFound(_, let context) {
            throw .configuration(file: path, problem: "has null at key '\(Self.name(context))'")
        } catch DecodingError.typeMismatch(_, let context) where context.codingPath.isEmpty {
            throw .configuration(file: path, problem: "is not a JSON object")
        } catch DecodingError.typeMismatch(let wanted, let context) {
            let problem = "has no \(Self.noun(wanted)) at key '\(Self.name(context))'"
            throw .configuration(file: path, problem: problem)
        } catch DecodingError.dataCorrupted(let context) where !context.codingPath.isEmpty {
            let problem = "has a bad value at key '\(Self.name(context))'"
            throw .configuration(file: path, problem: problem)
        } catch {
            guard let key = Self.unfitKey(type, data) else {
                throw .configuration(file: path, problem: "is not JSON")
            }
            let problem = "has a number out of range or not whole at key '\(key)'"
            throw .configuration(file: path, problem: problem)
        }
    }

    /// A key whose number its type cannot hold, or nil when the data is no JSON object.
    ///
    /// The decoder does not say which: numbers are replaced key by key until it is content.
    private static func unfitKey<Value: Decodable>(_ type: Value.Type, _ data: Data) -> String? {
        guard var members = try? JSONDecoder().decode([String: JSONValue].self, from: data) else {
            return nil
        }
        return members.keys.sorted().first { key in
            members[key] = members[key]?.withOnes
            guard let changed = try? JSONEncoder().encode(members) else { return false }
            do {
                _ = try JSONDecoder().decode(type, from: changed)
                return true
            } catch DecodingError.dataCorrupted(let context) {
                return !context.codingPath.isEmpty
            } catch {
                return true
            }
        }
    }

    private static func name(_ context: DecodingError.Context) -> String {
        context.codingPath.map(\.stringValue).joined(separator: ".")
    }

    private static func noun(_ type: any Any.Type) -> String {
        switch type {
        case is Int.Type: "whole number"
        case is Float.Type, is Double.Type: "number"
        case is Bool.Type: "true or false"
        case is String.Type: "string"
        default: "value of the right form"
        }
    }
}

/// Any JSON value; a number that no type holds counts as infinity.
private enum JSONValue: Codable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case list([JSONValue])
    case object([String: JSONValue])

    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .null
        } else if let bool = try? value.decode(Bool.self) {
            self = .bool(bool)
        } else if let number = try? value.decode(Double.self) {
            self = .number(number)
        } else if let string = try? value.decode(String.self) {
            self = .string(string)
        } else if let list = try? value.decode([JSONValue].self) {
            self = .list(list)
        } else if let object = try? value.decode([String: JSONValue].self) {
            self = .object(object)
        } else {
            self = .number(.infinity)
        }
    }

    /// The value with 1 for each number in it.
    var withOnes: JSONValue {
        switch self {
        case .number: .number(1)
        case .list(let list): .list(list.map(\.withOnes))
        case .object(let object): .object(object.mapValues(\.withOnes))
        case .null, .bool, .string: self
        }
    }

    func encode(to encoder: any Encoder) throws {
        var value = encoder.singleValueContainer()
        switch self {
        case .null: try value.encodeNil()
        case .bool(let bool): try value.encode(bool)
        case .number(let number): try value.encode(number)
        case .string(let string): try value.encode(string)
        case .list(let list): try value.encode(list)
        case .object(let object): try value.encode(object)
        }
    }
}
