import FarmModel
import FoundationEssentials

/// What workers and coordinators say to each other.
///
/// The first byte names the message, the rest is its JSON. What can be read is written and read again
/// as the same.
enum MessageReader {
    /// A message by its type's name.
    struct Kind: Sendable {
        let name: String
        fileprivate let check: @Sendable (Data) -> Void

        fileprivate init<Message: Codable & Equatable & SendableMetatype>(_ type: Message.Type) {
            name = "\(type)"
            check = { MessageReader.check(Message.self, $0) }
        }
    }

    /// The messages, each with a number that is its place; new ones come last.
    static let kinds = [
        Kind(ClaimRequest.self), Kind(ClaimAnswer.self), Kind(AttemptRequest.self),
        Kind(FailureRequest.self), Kind(HeartbeatRequest.self), Kind(HeartbeatAnswer.self),
        Kind(RegistrationRequest.self), Kind(RegistrationAnswer.self), Kind(DeliveryAnswer.self),
        Kind(CheckpointAnswer.self), Kind(AttemptAnswer.self), Kind(CredentialRequest.self),
    ]

    static func read(_ bytes: UnsafeBufferPointer<UInt8>) -> Int32 {
        guard let kind = bytes.first, Int(kind) < kinds.count else { return .dropped }
        kinds[Int(kind)].check(Data(bytes.dropFirst()))
        return .taken
    }

    private static func check<Message: Codable & Equatable>(_ type: Message.Type, _ data: Data) {
        guard let message = try? FarmJSON.decode(type, from: data) else { return }
        do {
            let text = try FarmJSON.text(message)
            guard try FarmJSON.decode(type, from: text) == message else {
                preconditionFailure("another \(type) than was written: \(text)")
            }
        } catch {
            preconditionFailure("a \(type) that was read cannot be written and read: \(error)")
        }
    }
}
