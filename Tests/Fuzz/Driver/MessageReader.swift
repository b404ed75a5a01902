import FarmModel
import FoundationEssentials

/// What workers and coordinators say to each other.
///
/// The first byte names the message, the rest is its JSON. What can be read is written and read again
/// as the same.
enum MessageReader {
    /// The messages, each with a number that is its place; new ones come last.
    static let messages: [any (Codable & Equatable).Type] = [
        ClaimRequest.self, ClaimAnswer.self, AttemptRequest.self, FailureRequest.self,
        HeartbeatRequest.self, HeartbeatAnswer.self, RegistrationRequest.self,
        RegistrationAnswer.self, DeliveryAnswer.self, CheckpointAnswer.self, AttemptAnswer.self,
    ]

    static func read(_ bytes: UnsafeBufferPointer<UInt8>) -> Int32 {
        guard let kind = bytes.first, Int(kind) < messages.count else { return .dropped }
        check(messages[Int(kind)], Data(bytes.dropFirst()))
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
