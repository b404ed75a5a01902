/// A fault as it was made, and how the farm came out of it.
struct FaultRecord: Sendable, Codable {
    var kind: String
    /// What was hit.
    var part: String
    /// What was done, in words.
    var detail: String
    /// From the fault, or from its end where it lasted, to the first task or picture through what was hit; nil where
    /// none came.
    var recoverySeconds: Double?
}

/// Something that must not be, found in a run.
struct Finding: Sendable, Hashable, Codable, CustomStringConvertible {
    var name: String
    var detail: String

    var description: String { "\(name): \(detail)" }
}
