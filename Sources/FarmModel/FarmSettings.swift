/// The settings that several processes must agree on without talking to each other.
package enum FarmSettings {
    /// The version of the programs, which `--version` prints.
    package static let version = "0.2.0"

    /// Where the coordinator listens where nothing else is said.
    package static let listenAddress = "127.0.0.1:8470"

    /// Where clients look for the coordinator where nothing else is said.
    package static let coordinator = "http://127.0.0.1:8470"

    /// The data folder: the one given, else the environment's, else the default.
    ///
    /// By default root's farm is the whole machine's; anyone else's lies under their home.
    ///
    /// - Parameters:
    ///   - given: What the command line says, or nil.
    ///   - environment: The process's environment.
    ///   - isRoot: Whether the process runs as root.
    /// - Returns: Its path.
    package static func dataDirectory(
        _ given: String?,
        environment: [String: String],
        isRoot: Bool
    ) -> String {
        if let folder = given ?? environment["DREAMFARM_DATA_DIR"] { return folder }
        let home = environment["HOME"] ?? ""
        return isRoot ? "/var/lib/dreamfarm" : home + "/.local/share/dreamfarm"
    }

    /// The file in which the coordinator leaves its admin token for clients of the same machine.
    package static func tokenFile(in dataDirectory: String) -> String {
        dataDirectory + "/token"
    }
}

extension FarmSettings {
    /// Reads a duration as settings write it, `8s`, `2m`, `1h` or a bare number of seconds, or
    /// returns nil for other text.
    package static func duration(_ text: String) -> Duration? {
        let units: [Character: Double] = ["s": 1, "m": 60, "h": 3600]
        let unit = text.last.flatMap { units[$0] }
        let number = unit == nil ? text[...] : text.dropLast()
        guard let value = Double(number), value.isFinite, (0...1e9).contains(value) else {
            return nil
        }
        return .seconds(value * (unit ?? 1))
    }
}
