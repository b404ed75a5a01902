import FoundationEssentials

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
        } catch DecodingError.typeMismatch(let wanted, let context) {
            let problem = "has no \(Self.noun(wanted)) at key '\(Self.name(context))'"
            throw .configuration(file: path, problem: problem)
        } catch DecodingError.dataCorrupted(let context) where !context.codingPath.isEmpty {
            let problem = "has a bad value at key '\(Self.name(context))'"
            throw .configuration(file: path, problem: problem)
        } catch {
            throw .configuration(file: path, problem: "is not JSON")
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
