import Glibc
import Imaging
import Tensors

/// Why a render gave no picture.
package enum RenderError: Error, Equatable, CustomStringConvertible {
    /// The picture has values that are not numbers.
    case notFinite
    /// The machine has less memory than a part or a picture needs at least, in bytes.
    case outOfMemory(what: String, needed: Int, available: Int)

    package var description: String {
        switch self {
        case .notFinite:
            "the picture has values that are not numbers: the model's weights or an adapter's"
                + " strength are out of range; check the --lora weights and the model's files"
        case .outOfMemory(let what, let needed, let available):
            "\(what) needs \(Self.mebibytes(needed)) of memory, \(Self.mebibytes(available)) are"
                + " free; free some, or use a machine with more"
        }
    }

    private static func mebibytes(_ bytes: Int) -> String {
        "\((bytes + (1 << 20) - 1) >> 20) MiB"
    }
}

/// What kind of failure an error of the engine is, for those who decide what to do about it.
package enum RenderFailureKind: String, Sendable, CaseIterable {
    /// The machine has too little memory now.
    case outOfMemory
    /// A disk is full.
    case diskFull
    /// A reference is no picture, or one that is not decoded.
    case brokenReference
    /// A file that was there is gone or cannot be read.
    case missingFile
    /// The request can be rendered nowhere.
    case badRequest
    /// A user's own adapter cannot be used with the model.
    case brokenAdapter
    /// The model's files are damaged or do not fit each other.
    case brokenModel
    /// A checkpoint is of another render, or damaged.
    case badCheckpoint
    /// The picture has values that are not numbers.
    case notFinite

    /// The kind of an error, or nil for one that is not the engine's.
    package init?(_ error: any Error) {
        switch error {
        case RenderError.notFinite: self = .notFinite
        case RenderError.outOfMemory: self = .outOfMemory
        case is RenderRequestError: self = .badRequest
        case is CheckpointError: self = .badCheckpoint
        case is ModelError, is TokenizerError: self = .brokenModel
        case let error as ImageError: self.init(error)
        case let error as AdapterError: self.init(error)
        case let error as SafetensorsError: self.init(error)
        case AtomicFileError.diskFull: self = .diskFull
        default: return nil
        }
    }

    private init?(_ error: ImageError) {
        switch error {
        case .outOfMemory: self = .outOfMemory
        case .unreadable: self = .missingFile
        case .unknownFormat, .truncated, .broken, .unsupported, .tooLarge, .tooManyBytes:
            self = .brokenReference
        case .invalidText: self = .badRequest
        case .unencodable: return nil
        }
    }

    private init(_ error: AdapterError) {
        switch error {
        case .missingFile, .unreadable: self = .missingFile
        default: self = .brokenAdapter
        }
    }

    private init?(_ error: SafetensorsError) {
        switch error {
        case .unreadable: self = .missingFile
        case .unwritable(_, let reason):
            let full = [ENOSPC, EDQUOT].map { String(cString: strerror($0)) }
            guard full.contains(reason) else { return nil }
            self = .diskFull
        default: self = .brokenModel
        }
    }
}
