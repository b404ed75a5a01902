/// What a computed condition is.
package enum ArtifactKind: String, Codable, CaseIterable, Sendable {
    /// A prompt's embeddings.
    case prompt
    /// A reference after it was prepared.
    case reference
    /// The mean and log-variance of a reference's latent.
    case posterior
}

/// The name of a computed condition: its kind and the digest of everything that determines it.
///
/// As `prompt-9f86…`; its bytes are at `/v1/artifacts/{key}`.
package struct ArtifactKey: RawRepresentable, Hashable, Codable, Sendable,
    CustomStringConvertible
{
    package let rawValue: String

    /// Names what `determinants` determine.
    ///
    /// - Parameters:
    ///   - kind: What it is.
    ///   - determinants: Every input and setting, the model's digest and the numeric class, as a
    ///     text that is the same wherever they are.
    package init(_ kind: ArtifactKind, determinants: String) {
        rawValue = "\(kind.rawValue)-\(BlobDigest(ofText: determinants))"
    }

    /// Reads a key, or returns nil for text that is none.
    package init?(rawValue: String) {
        let parts = rawValue.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, ArtifactKind(rawValue: String(parts[0])) != nil,
            let digest = BlobDigest(rawValue: String(parts[1])), digest.rawValue == parts[1]
        else { return nil }
        self.rawValue = rawValue
    }

    package var description: String { rawValue }

    /// The address of its bytes, for `GET`, `HEAD` and `PUT` by the holder of `fence`.
    package func path(for fence: AttemptFence) -> String {
        "/v1/artifacts/\(rawValue)?task=\(fence.task)&attempt=\(fence.attempt)"
            + "&epoch=\(fence.epoch)"
    }
}
