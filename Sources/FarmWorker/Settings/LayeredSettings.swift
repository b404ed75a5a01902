package import FarmModel
import FoundationEssentials

/// Settings as flags over environment over a file, all named alike: `--data-dir`,
/// `DREAMFARM_DATA_DIR`, `data-dir:`.
package struct LayeredSettings: Sendable {
    /// Where a value was found, as messages name it.
    private struct Found {
        let text: String
        let source: String
    }

    private let environment: [String: String]
    private let file: [String: SpecificationValue]
    private let path: String

    /// Reads the file, if there is one.
    ///
    /// - Parameters:
    ///   - path: The file that `--config` names, or nil.
    ///   - environment: The process's environment.
    ///   - known: The names that the file may have.
    /// - Throws: ``SettingsError`` that names the file and the key.
    package init(
        file path: String?,
        environment: [String: String],
        known: Set<String>
    ) throws(SettingsError) {
        self.environment = environment
        self.path = path ?? ""
        guard let path else {
            file = [:]
            return
        }
        guard let data = FileManager.default.contents(atPath: path) else {
            throw .unreadable(path: path)
        }
        let document: SpecificationValue
        do {
            document = try SpecificationValue(file: data)
        } catch {
            throw .notSettings(path: path, reason: "\(error)")
        }
        guard case .mapping(let values) = document else {
            throw .notSettings(path: path, reason: "it holds \(document.kind), not settings")
        }
        if let unknown = values.keys.filter({ !known.contains($0) }).min() {
            throw .unknown(path: path, name: unknown)
        }
        file = values
    }

    // MARK: - Values

    /// The value of a setting, or nil where nothing says it.
    package func text(_ name: String, _ flag: String?) throws(SettingsError) -> String? {
        try find(name, flag)?.text
    }

    /// The value of a setting that is a whole number in a range.
    package func integer(
        _ name: String,
        _ flag: String?,
        in range: ClosedRange<Int>
    ) throws(SettingsError) -> Int? {
        guard let found = try find(name, flag) else { return nil }
        guard let value = Int(found.text), range.contains(value) else {
            throw .wrong(
                source: found.source,
                text: found.text,
                wanted: "a whole number from \(range.lowerBound) to \(range.upperBound)"
            )
        }
        return value
    }

    /// The value of a setting that is an amount of memory.
    package func bytes(_ name: String, _ flag: String?) throws(SettingsError) -> Int64? {
        guard let found = try find(name, flag) else { return nil }
        guard let value = ByteCount.bytes(found.text) else {
            throw .wrong(source: found.source, text: found.text, wanted: "an amount like 16GiB")
        }
        return value
    }

    /// The value of a setting that is a time.
    package func duration(_ name: String, _ flag: String?) throws(SettingsError) -> Duration? {
        guard let found = try find(name, flag) else { return nil }
        guard let value = FarmSettings.duration(found.text) else {
            throw .wrong(source: found.source, text: found.text, wanted: "a time like 8s or 2m")
        }
        return value
    }

    /// The value of a setting that is an address to listen at.
    ///
    /// - Parameters:
    ///   - name: The setting's name.
    ///   - flag: What the command line says of it.
    ///   - isOpen: Whether the address may be one that other machines reach.
    /// - Returns: The address, or nil where nothing says it.
    /// - Throws: ``SettingsError/wrong(source:text:wanted:)`` for what is no address, or one that
    ///   other machines reach without leave.
    package func address(
        _ name: String,
        _ flag: String?,
        isOpen: Bool
    ) throws(SettingsError) -> ListenAddress? {
        guard let found = try find(name, flag) else { return nil }
        guard let address = ListenAddress(found.text) else {
            throw .wrong(source: found.source, text: found.text, wanted: "like 127.0.0.1:9470")
        }
        guard address.isLoopback || isOpen else {
            throw .wrong(
                source: found.source,
                text: found.text,
                wanted: "loopback, or given with --insecure-listen, since other machines reach it "
                    + "without TLS"
            )
        }
        return address
    }

    /// The value of a setting that is one of a few words.
    package func choice<Choice>(
        _ name: String,
        _ flag: String?
    ) throws(SettingsError) -> Choice?
    where Choice: RawRepresentable & CaseIterable, Choice.RawValue == String {
        guard let found = try find(name, flag) else { return nil }
        guard let value = Choice(rawValue: found.text) else {
            throw .wrong(
                source: found.source,
                text: found.text,
                wanted: Choice.allCases.map(\.rawValue).joined(separator: " or ")
            )
        }
        return value
    }

    /// Whether a setting is on.
    package func flag(_ name: String, _ isSet: Bool) throws(SettingsError) -> Bool {
        guard let found = try find(name, isSet ? "true" : nil) else { return false }
        switch found.text {
        case "true", "1", "yes": return true
        case "false", "0", "no": return false
        default:
            throw .wrong(source: found.source, text: found.text, wanted: "true or false")
        }
    }

    /// The values of a setting that is a list: flags given several times, words between commas,
    /// a list in the file.
    package func list(_ name: String, _ flags: [String]) throws(SettingsError) -> [String] {
        guard flags.isEmpty else { return flags }
        if environment[Self.variable(name)] == nil, case .list(let values)? = file[name] {
            var texts: [String] = []
            for value in values { texts.append(try text(of: value, name)) }
            return texts
        }
        guard let found = try find(name, nil) else { return [] }
        return found.text.split(separator: ",").map { word in
            String(word.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
        }
    }

    // MARK: - Layers

    private func find(_ name: String, _ flag: String?) throws(SettingsError) -> Found? {
        if let flag { return Found(text: flag, source: "--\(name)") }
        let variable = Self.variable(name)
        if let value = environment[variable], !value.isEmpty {
            return Found(text: value, source: variable)
        }
        guard let value = file[name] else { return nil }
        return Found(text: try text(of: value, name), source: "\(path): \(name)")
    }

    private func text(
        of value: SpecificationValue,
        _ name: String
    ) throws(SettingsError) -> String {
        switch value {
        case .string(let text): return text
        case .integer(let number): return String(number)
        case .number(let number): return String(number)
        case .bool(let isOn): return String(isOn)
        case .null, .list, .mapping:
            throw .wrong(source: "\(path): \(name)", text: value.kind, wanted: "one value")
        }
    }

    private static func variable(_ name: String) -> String {
        "DREAMFARM_" + name.uppercased().map { $0 == "-" ? "_" : String($0) }.joined()
    }
}

/// What is wrong with a setting, in one line that names where it stands.
package enum SettingsError: Error, Equatable, CustomStringConvertible {
    case unreadable(path: String)
    case notSettings(path: String, reason: String)
    case unknown(path: String, name: String)
    case wrong(source: String, text: String, wanted: String)
    case missing(name: String)

    package var description: String {
        switch self {
        case .unreadable(let path):
            "cannot read \(path); give --config the path of a settings file"
        case .notSettings(let path, let reason): "\(path) is no settings file: \(reason)"
        case .unknown(let path, let name):
            "\(path): there is no setting '\(name)'; see 'dreamfarm-worker run --help'"
        case .wrong(let source, let text, let wanted):
            "\(source) must be \(wanted), not '\(text)'"
        case .missing(let name):
            "give --\(name), or set it in the environment or in the --config file"
        }
    }
}
