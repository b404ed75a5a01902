/// The settings that several processes must agree on without talking to each other.
package enum FarmSettings {
    /// Where the coordinator listens where nothing else is said.
    package static let listenAddress = "127.0.0.1:8470"

    /// Where clients look for the coordinator where nothing else is said.
    package static let coordinator = "http://127.0.0.1:8470"

    /// The data folder where nothing else is said.
    ///
    /// Root's farm is the whole machine's; anyone else's lies under `home`.
    package static func dataDirectory(isRoot: Bool, home: String) -> String {
        isRoot ? "/var/lib/dreamfarm" : home + "/.local/share/dreamfarm"
    }

    /// The file in which the coordinator leaves its admin token for clients of the same machine.
    package static func tokenFile(in dataDirectory: String) -> String {
        dataDirectory + "/token"
    }
}
