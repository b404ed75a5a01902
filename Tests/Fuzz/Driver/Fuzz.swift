import CLibFuzzer
import Glibc

/// Hands libFuzzer's inputs to one reader of foreign bytes.
///
/// Usage: `fuzz READER [libFuzzer's arguments]`, or `fuzz READER --seeds FOLDER` to write inputs to
/// begin with. A reader that traps, or finds that what it read is not what it wrote, ends the run;
/// libFuzzer keeps the input.
@main
enum Fuzz {
    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count > 1, let reader = Reader(rawValue: arguments[1]) else {
            let names = Reader.allCases.map(\.rawValue).joined(separator: "|")
            print("usage: fuzz \(names) [--seeds FOLDER | libFuzzer's arguments]")
            exit(2)
        }
        if arguments.count == 4, arguments[2] == "--seeds" {
            try Seeds.write(of: reader, to: arguments[3])
            return
        }
        var pointers = ([arguments[0]] + arguments[2...]).map { strdup($0) }
        var count = Int32(pointers.count)
        pointers.append(nil)
        let status = pointers.withUnsafeMutableBufferPointer { buffer in
            var start = buffer.baseAddress
            return LLVMFuzzerRunDriver(&count, &start, reader.callback)
        }
        exit(status)
    }
}

/// What reads bytes that a stranger may have written.
enum Reader: String, CaseIterable {
    /// A job in YAML or JSON.
    case specification
    /// A file of weights.
    case safetensors
    /// A picture, and the text in it.
    case picture
    /// What workers send.
    case message

    /// The function that libFuzzer calls with each input; C takes no context along.
    fileprivate var callback: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32 {
        switch self {
        case .specification: { SpecificationReader.read(UnsafeBufferPointer(start: $0, count: $1)) }
        case .safetensors: { SafetensorsReader.read(UnsafeBufferPointer(start: $0, count: $1)) }
        case .picture: { PictureReader.read(UnsafeBufferPointer(start: $0, count: $1)) }
        case .message: { MessageReader.read(UnsafeBufferPointer(start: $0, count: $1)) }
        }
    }
}

extension Int32 {
    /// The input may go into the corpus.
    static let taken: Int32 = 0
    /// The input is not to be kept.
    static let dropped: Int32 = -1
}
