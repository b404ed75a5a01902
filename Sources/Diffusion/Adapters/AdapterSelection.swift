/// A version of DreamO's adapters.
package enum AdapterVersion: String, Sendable, Hashable, CaseIterable {
    /// The first release with its two quality adapters.
    case v1
    /// The second release: fine-tuned and preference-optimised.
    case v11 = "v1.1"

    /// The distilled guidance that the published demo takes for it.
    package var defaultGuidance: Double {
        self == .v11 ? 4.5 : 3.5
    }
}

/// Which adapters a picture is to be made with.
package struct AdapterSelection: Sendable, Equatable {
    /// How DreamO's files are chosen.
    package enum Choice: Sendable, Equatable {
        /// What is there: v1.1 when one of its files is, else v1.
        case available
        /// This version's files as far as they are there, as a task file's `version` asks.
        case preferred(AdapterVersion)
        /// This version with all its files, as `--adapters` asks.
        case required(AdapterVersion)
        /// None: plain FLUX.
        case none
    }

    /// A user's own adapter.
    package struct Lora: Sendable, Equatable {
        /// The file.
        package let path: String
        /// The factor of its products.
        package let strength: Float
        /// What it is called, in messages and in a picture's text.
        package let name: String

        /// Names a file and how strongly it counts.
        ///
        /// - Parameters:
        ///   - path: The file, which must not change while it is in use.
        ///   - strength: The factor of its products.
        ///   - name: What it is called; nil for the path.
        package init(path: String, strength: Float = 1, name: String? = nil) {
            self.path = path
            self.strength = strength
            self.name = name ?? path
        }

        /// Reads `FILE` or `FILE:WEIGHT`.
        ///
        /// What follows the last colon is a weight when it reads as a number; a file whose name
        /// ends so is given as `FILE:1`.
        package init(parsing argument: String) throws(AdapterError) {
            guard let colon = argument.lastIndex(of: ":"),
                let strength = Float(argument[argument.index(after: colon)...])
            else {
                guard !argument.isEmpty else { throw .badArgument(argument) }
                self.init(path: argument)
                return
            }
            let path = String(argument[..<colon])
            guard !path.isEmpty, strength.isFinite else { throw .badArgument(argument) }
            self.init(path: path, strength: strength)
        }
    }

    /// How DreamO's files are chosen.
    package var dreamO: Choice
    /// Whether the turbo adapter is used where it is there.
    package var usesTurbo: Bool
    /// The user's own, added after DreamO's in this order.
    package var loras: [Lora]

    /// Chooses adapters; by default what is there.
    package init(dreamO: Choice = .available, usesTurbo: Bool = true, loras: [Lora] = []) {
        self.dreamO = dreamO
        self.usesTurbo = usesTurbo
        self.loras = loras
    }

    /// Reads the value of `--adapters`: `v1`, `v1.1` or `none`.
    package static func choice(named name: String) throws(AdapterError) -> Choice {
        if name == "none" { return .none }
        guard let version = AdapterVersion(rawValue: name) else {
            throw .unknownVersion(name)
        }
        return .required(version)
    }
}
