import FarmModel
import FoundationEssentials

/// Something of an attempt that is to be told to the coordinator, in the order it came about.
struct Parcel: Sendable {
    let attempt: HeldAttempt
    let content: Content

    enum Content: Sendable {
        case picture(SpooledPicture, image: Int, isFinal: Bool)
        case checkpoint(SavedCheckpoint)
        case condition(ArtifactKey, Data)
        case end(AttemptEnd)
    }

    /// How many bytes it keeps waiting.
    var size: Int64 {
        switch content {
        case .picture(let picture, _, _): picture.size
        case .checkpoint(let checkpoint): Int64(checkpoint.bytes.count)
        case .condition(_, let data): Int64(data.count)
        case .end(.drafted(_, let picture)): Int64(picture.data.count)
        case .end: 0
        }
    }

    /// Whether a later parcel of the same attempt makes it pointless.
    func isReplaced(by later: Parcel) -> Bool {
        guard attempt === later.attempt, case .checkpoint(let checkpoint) = content else {
            return false
        }
        switch later.content {
        case .checkpoint: return true
        case .picture(_, let image, _): return image == checkpoint.image
        case .condition, .end: return false
        }
    }
}

/// How an attempt ended.
enum AttemptEnd: Sendable {
    /// Everything is delivered.
    case completed
    case failed(RenderFailure)
    /// Given back unharmed.
    case released(ReleaseReason)
    /// Given back for a task of a higher band, after so many steps of an image; nil between two images.
    case parked(image: Int?, step: Int?)
    /// Stopped for a person to decide, its checkpoint told before.
    case drafted(SavedCheckpoint, DraftPicture)
}
