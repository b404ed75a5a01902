import Glibc
import Tensors

/// Mutates a valid safetensors file some thousand times, by a seed, and checks that each opening
/// and reading ends in an error or in the right values.
///
/// Usage: `safetensors-mutations [COUNT [SEED]]`; exits 1 on a wrong answer.
@main
enum SafetensorsMutations {
    static func main() throws {
        let arguments = CommandLine.arguments.dropFirst().compactMap { UInt64($0) }
        let count = Int(arguments.first ?? 4000)
        var random = SplitMix(state: arguments.dropFirst().first ?? 1)
        var template = Array("/tmp/safetensors-mutations.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            print("cannot make a temporary folder")
            exit(1)
        }
        let folder = String(
            decoding: template.dropLast().map(UInt8.init(bitPattern:)),
            as: UTF8.self
        )
        let path = "\(folder)/mutated.safetensors"
        defer {
            unlink(path)
            rmdir(folder)
        }
        let valid = ValidFile.bytes
        var refused = 0
        var read = 0
        for round in 0...count {
            let bytes = round == 0 ? valid : mutated(valid, &random)
            try write(bytes, to: path)
            do {
                let file = try SafetensorsFile(path: path)
                if let wrong = firstWrongTensor(of: file, bytes: bytes) {
                    print("round \(round): '\(wrong)' was read wrong")
                    exit(1)
                }
                read += 1
            } catch {
                if round == 0 {
                    print("the valid file is refused: \(error)")
                    exit(1)
                }
                guard !error.description.contains("\n"), error.description.contains(path) else {
                    print("round \(round): no clear message: \(error)")
                    exit(1)
                }
                refused += 1
            }
        }
        print("\(count) mutations: \(refused) refused with a message, \(read) opened and right")
    }

    /// The first tensor whose values differ from a naive decoding of its bytes.
    private static func firstWrongTensor(of file: SafetensorsFile, bytes: [UInt8]) -> String? {
        let length = bytes[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
        for (name, entry) in file.entries {
            let start = 8 + length + entry.bytes.lowerBound
            let stored = Array(bytes[start..<(start + entry.bytes.count)])
            guard let expected = NaiveDecoding.values(stored, entry.type) else { continue }
            let scale = scale(of: entry, in: file, bytes: bytes, dataStart: 8 + length)
            do {
                let values = try file.values(of: name)
                guard let scale, values.count == expected.count,
                    zip(values, expected).allSatisfy({ $0 == $1 * scale })
                else { return name }
            } catch {
                let isFinite = expected.allSatisfy { ($0 * (scale ?? .nan)).isFinite }
                guard scale == nil || !isFinite else { return name }
            }
        }
        return nil
    }

    /// The factor of an eight-bit weight, or nil when what stands there is no factor.
    private static func scale(
        of entry: SafetensorsEntry,
        in file: SafetensorsFile,
        bytes: [UInt8],
        dataStart: Int
    ) -> Float? {
        guard entry.type.isFloat8, entry.name.hasSuffix(".weight") else { return 1 }
        let name = String(entry.name.dropLast("weight".count)) + "scale_weight"
        guard let scale = file.entries[name] else { return 1 }
        let start = dataStart + scale.bytes.lowerBound
        let stored = Array(bytes[start..<(start + scale.bytes.count)])
        let values = NaiveDecoding.values(stored, scale.type) ?? []
        guard values.count == 1, values[0].isFinite else { return nil }
        return values[0]
    }

    private static func mutated(_ valid: [UInt8], _ random: inout SplitMix) -> [UInt8] {
        var bytes = valid
        if random.below(3) == 0 {
            // The values alone: the file opens, and what is read must follow the bytes.
            bytes[8 + ValidFile.headerCount + random.below(66)] = UInt8(random.below(256))
            return bytes
        }
        for _ in 0...random.below(3) {
            let header = min(bytes.count, 8 + ValidFile.headerCount)
            switch random.below(8) {
            case 0 where !bytes.isEmpty:
                bytes[random.below(bytes.count)] = UInt8(random.below(256))
            case 1 where header > 8:
                bytes[8 + random.below(header - 8)] = UInt8(random.below(256))
            case 2 where header > 8:
                let digits = (8..<header).filter { 0x30...0x39 ~= bytes[$0] }
                if !digits.isEmpty {
                    bytes[digits[random.below(digits.count)]] = UInt8(0x30 + random.below(10))
                }
            case 3 where bytes.count >= 8:
                let sizes = [0, 1, 8, bytes.count, bytes.count - 8, 1 << 27, .max, -1]
                let length = UInt64(bitPattern: Int64(sizes[random.below(sizes.count)]))
                withUnsafeBytes(of: length.littleEndian) { bytes.replaceSubrange(0..<8, with: $0) }
            case 4: bytes.removeLast(random.below(bytes.count + 1))
            case 5: bytes.append(contentsOf: repeatElement(0xFF, count: 1 + random.below(64)))
            case 6 where header > 8:
                let pieces = [
                    "{", "}", "[", "]", "\"", ",", ":", "\\u12", "\\", "-1", "1e9", "null", "true",
                    "99999999999999999999", "9223372036854775807", "\u{0}", "[[[[[[[[",
                ]
                let at = 8 + random.below(header - 8)
                bytes.insert(contentsOf: pieces[random.below(pieces.count)].utf8, at: at)
            default:
                guard header > 16 else { continue }
                let at = 8 + random.below(header - 16)
                bytes.removeSubrange(at..<(at + 1 + random.below(7)))
            }
        }
        return bytes
    }

    private static func write(_ bytes: [UInt8], to path: String) throws {
        guard let file = fopen(path, "w") else {
            print("cannot write \(path)")
            exit(1)
        }
        fwrite(bytes, 1, bytes.count, file)
        fclose(file)
    }
}

/// The file that is mutated: every float type, a scalar, an empty tensor, metadata and escapes.
private enum ValidFile {
    private static let header: [UInt8] = {
        var text = #"{"__metadata__":{"format":"pt","note":"\u00e9\n"},"#
        text += #""a.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"#
        text += #""b.weight":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]},"#
        text += #""c.weight":{"dtype":"F16","shape":[2,2],"data_offsets":[32,40]},"#
        text += #""d.weight":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[40,48]},"#
        text += #""d.scale_weight":{"dtype":"F32","shape":[],"data_offsets":[48,52]},"#
        text += #""e.weight":{"dtype":"F8_E5M2","shape":[4,1],"data_offsets":[52,56]},"#
        text += #""f":{"dtype":"I64","shape":[1],"data_offsets":[56,64]},"#
        text += #""g":{"dtype":"F32","shape":[0,5],"data_offsets":[64,64]},"#
        text += #""h":{"dtype":"F9_X","shape":[3],"data_offsets":[64,66]}}"#
        return Array(text.utf8)
    }()

    static var headerCount: Int { header.count }

    static var bytes: [UInt8] {
        var random = SplitMix(state: 99)
        // The top bit of an exponent stays clear, so that the valid file is finite.
        var data = (0..<66).map { _ in UInt8(random.below(256)) & 0xBF }
        data.replaceSubrange(48..<52, with: [0, 0, 0, 0x3F])
        return withUnsafeBytes(of: UInt64(header.count).littleEndian, Array.init) + header + data
    }
}

/// Decoding by the definition of each type, value by value.
private enum NaiveDecoding {
    static func values(_ bytes: [UInt8], _ type: SafetensorsType) -> [Float]? {
        switch type {
        case .float32:
            groups(bytes, 4).map { Float(bitPattern: UInt32($0)) }
        case .bfloat16:
            groups(bytes, 2).map { Float(bitPattern: UInt32($0) << 16) }
        case .float16:
            groups(bytes, 2).map { float(UInt32($0), exponentBits: 5, mantissaBits: 10) }
        case .float8E5M2:
            bytes.map { float(UInt32($0), exponentBits: 5, mantissaBits: 2) }
        case .float8E4M3:
            bytes.map {
                $0 & 0x7F == 0x7F
                    ? .nan : float(UInt32($0), exponentBits: 4, mantissaBits: 3, isFinite: true)
            }
        default: nil
        }
    }

    private static func groups(_ bytes: [UInt8], _ width: Int) -> [UInt64] {
        stride(from: 0, to: bytes.count, by: width).map { start in
            (0..<width).reduce(0) { $0 | UInt64(bytes[start + $1]) << UInt64(8 * $1) }
        }
    }

    private static func float(
        _ bits: UInt32,
        exponentBits: Int,
        mantissaBits: Int,
        isFinite: Bool = false
    ) -> Float {
        let mantissa = Float(bits & (1 << mantissaBits - 1))
        let exponent = Int(bits >> mantissaBits) & (1 << exponentBits - 1)
        let isNegative = bits >> (exponentBits + mantissaBits) & 1 == 1
        let bias = 1 << (exponentBits - 1) - 1
        let steps = Float(sign: .plus, exponent: mantissaBits, significand: 1)
        var value: Float
        if exponent == 1 << exponentBits - 1, !isFinite {
            value = mantissa == 0 ? .infinity : .nan
        } else if exponent == 0 {
            value = Float(sign: .plus, exponent: 1 - bias, significand: mantissa / steps)
        } else {
            value = Float(sign: .plus, exponent: exponent - bias, significand: 1 + mantissa / steps)
        }
        if isNegative { value.negate() }
        return value
    }
}

/// SplitMix64: the same mutations for the same seed.
private struct SplitMix {
    var state: UInt64

    /// A number from 0 up to, not including, the bound.
    mutating func below(_ bound: Int) -> Int {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return Int((z ^ (z >> 31)) % UInt64(bound))
    }
}
