import FarmModel
package import FoundationEssentials

/// Settings by name, from flags over the environment over a file.
package struct SettingsSource: Sendable {
    /// What the command line says, by the setting's name.
    package var flags: [String: String]
    /// The variables that say something: an empty one is none.
    package let environment: [String: String]
    /// What the file says, by the setting's name.
    package var file: [String: String]

    package init(flags: [String: String], environment: [String: String], file: [String: String]) {
        self.flags = flags
        self.environment = environment.filter { !$0.value.isEmpty }
        self.file = file
    }

    /// The value of the setting `name`, such as `database-url`, or nil where nothing says it.
    package func value(_ name: String) -> String? {
        flags[name] ?? environment[Self.variable(name)] ?? file[name]
    }

    /// Where the value of a setting comes from, for people.
    package func origin(_ name: String) -> String {
        if flags[name] != nil { return "flag" }
        if environment[Self.variable(name)] != nil { return Self.variable(name) }
        return file[name] == nil ? "default" : "file"
    }

    /// The environment's name of a setting: `DREAMFARM_DATABASE_URL`.
    package static func variable(_ name: String) -> String {
        "DREAMFARM_" + name.uppercased().replacing("-", with: "_")
    }
}

/// A file of settings, `--config dreamfarm.yaml`.
package enum SettingsFile {
    /// Reads the settings of a file.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - known: The names that it may have.
    /// - Returns: The values by name; durations and sizes as they are written.
    /// - Throws: ``SettingsError`` that names the file and the key.
    package static func read(
        _ path: String,
        known: [String]
    ) throws(SettingsError) -> [String: String] {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw SettingsError(path: path, message: "cannot be read; check --config")
        }
        return try parse(data, path: path, known: known)
    }

    /// The settings in a file's bytes.
    package static func parse(
        _ data: Data,
        path: String,
        known: [String]
    ) throws(SettingsError) -> [String: String] {
        let document: SpecificationValue
        do {
            document = try SpecificationValue(file: data)
        } catch {
            throw SettingsError(path: path, message: error.description)
        }
        if document == .null { return [:] }
        guard case .mapping(let entries) = document else {
            throw SettingsError(path: path, message: "holds \(document.kind), not settings")
        }
        var values: [String: String] = [:]
        for (key, value) in entries {
            guard known.contains(key) else {
                throw SettingsError(
                    path: path,
                    message: "'\(key)' is no setting; there are \(known.joined(separator: ", "))"
                )
            }
            guard let text = value.settingText else {
                throw SettingsError(
                    path: path,
                    message: "'\(key)' is \(value.kind); give one value"
                )
            }
            values[key] = text
        }
        return values
    }
}

extension SpecificationValue {
    /// A scalar as the command line would have it.
    fileprivate var settingText: String? {
        switch self {
        case .string(let text): text
        case .bool(let value): value ? "true" : "false"
        case .integer(let value): String(value)
        case .number(let value): "\(value)"
        case .null, .list, .mapping: nil
        }
    }
}

/// What is wrong with a file of settings, or with one of its values.
package struct SettingsError: Error, Equatable, CustomStringConvertible {
    package var path: String
    package var message: String

    package init(path: String, message: String) {
        self.path = path
        self.message = message
    }

    package var description: String { "\(path): \(message)" }
}

/// A database's address as it may be shown.
package enum DatabaseAddress {
    /// The address without its password.
    package static func hidden(_ text: String) -> String {
        text.replacing(/:\/\/([^:@\/?]*):[^@\/]*@/) { "://\($0.output.1):***@" }
            .replacing(/password\s*=\s*('[^']*'|[^\s&]+)/) { _ in "password=***" }
    }
}
