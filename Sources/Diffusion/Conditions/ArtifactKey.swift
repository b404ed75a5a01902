/// What a computed condition is addressed by: a digest of everything that determines it.
package struct ArtifactKey: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// What conditions there are.
    package enum Kind: String, Sendable, CaseIterable {
        /// The features of a prompt: those of T5 and those of CLIP.
        case prompt
        /// The posterior of a prepared reference: its mean and logarithm of the variance.
        case reference

        /// The names of the two matrices.
        var names: [String] {
            switch self {
            case .prompt: ["features", "pooled"]
            case .reference: ["logVariance", "mean"]
            }
        }
    }

    package let kind: Kind
    /// A SHA-256 as 64 hexadecimal digits.
    package let digest: String

    /// The key of what some lines determine.
    init(_ kind: Kind, of lines: [String]) {
        self.kind = kind
        digest = Diffusion.digest(ofLines: [kind.rawValue] + lines)
    }

    /// The key with a digest that was told.
    package init(_ kind: Kind, digest: String) {
        self.kind = kind
        self.digest = digest
    }

    /// The digest alone, as the farm addresses the artifact.
    package var description: String { digest }

    package static func < (a: ArtifactKey, b: ArtifactKey) -> Bool {
        (a.kind.rawValue, a.digest) < (b.kind.rawValue, b.digest)
    }
}
