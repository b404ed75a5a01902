import Crypto
import FoundationEssentials
import Tensors

/// Why bytes are no sealed tensors of the wanted kind.
enum SealError: Error, Equatable {
    /// They do not begin as sealed tensors, or are of another kind.
    case otherKind
    /// They are of a version that is not known here.
    case version(String)
    /// They end early.
    case truncated
    /// Something in them was changed.
    case damaged
}

/// Some matrices and a few words about them, sealed by a SHA-256 over all of it.
///
/// The bytes are the line `dreamfarm-sealed/1`, the header's length as four bytes, the header as
/// JSON with sorted keys, the values of each matrix as float32, and the digest of what stands
/// before it; numbers begin with their lowest byte. Equal contents are equal bytes.
struct SealedTensors {
    /// What the matrices are, such as `checkpoint`.
    let kind: String
    /// What is said about them.
    let fields: [String: String]
    /// The matrices by name, each contiguous.
    let tensors: [String: Tensor]

    private struct Header: Codable {
        struct Shape: Codable {
            let columns: Int
            let name: String
            let rows: Int
        }

        let fields: [String: String]
        let kind: String
        let tensors: [Shape]
    }

    private static let family = Array("dreamfarm-sealed/".utf8)
    private static let version = "1"
    private static let lengthBytes = 4
    private static let digestBytes = 32

    init(kind: String, fields: [String: String], tensors: [String: Tensor]) {
        self.kind = kind
        self.fields = fields
        self.tensors = tensors
    }

    /// The sealed bytes.
    ///
    /// - Throws: What encoding the header throws.
    func bytes() throws -> [UInt8] {
        let named = tensors.sorted { $0.key < $1.key }
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let header = try encoder.encode(
            Header(
                fields: fields,
                kind: kind,
                tensors: named.map { name, tensor in
                    Header.Shape(columns: tensor.columns, name: name, rows: tensor.rows)
                }
            )
        )
        var bytes: [UInt8] = []
        let values = named.reduce(0) { $0 + 4 * $1.value.elements.count }
        bytes.reserveCapacity(64 + header.count + values + Self.digestBytes)
        bytes += Self.family + Array("\(Self.version)\n".utf8)
        bytes += withUnsafeBytes(of: UInt32(header.count).littleEndian, Array.init)
        bytes += header
        for (_, tensor) in named {
            bytes.append(contentsOf: UnsafeRawBufferPointer(tensor.elements))
        }
        bytes += SHA256.hash(data: bytes)
        return bytes
    }

    /// Opens sealed bytes.
    ///
    /// - Parameters:
    ///   - bytes: What `bytes()` made.
    ///   - kind: The kind they must be of.
    /// - Throws: `SealError`.
    init(_ bytes: [UInt8], kind: String) throws(SealError) {
        var rest = bytes[...]
        guard Self.take(&rest, Self.family.count).elementsEqual(Self.family) else {
            throw bytes.count < Self.family.count && Self.family.starts(with: bytes)
                ? .truncated : .otherKind
        }
        let version = String(decoding: rest.prefix { $0 != 0x0A }.prefix(16), as: UTF8.self)
        guard version == Self.version else {
            throw rest.count <= version.utf8.count ? .truncated : .version(version)
        }
        rest = rest.dropFirst(version.utf8.count + 1)
        let length = Self.take(&rest, Self.lengthBytes)
        guard length.count == Self.lengthBytes else { throw .truncated }
        let count = length.reversed().reduce(0) { $0 << 8 | Int($1) }
        let text = Self.take(&rest, count)
        guard text.count == count else { throw .truncated }
        guard let header = try? JSONDecoder().decode(Header.self, from: Data(text)) else {
            throw .damaged
        }
        guard let sizes = Self.sizes(header) else { throw .damaged }
        let promised = sizes.reduce(0, +) + Self.digestBytes
        guard rest.count >= promised else { throw .truncated }
        let digest = SHA256.hash(data: bytes.dropLast(Self.digestBytes))
        guard rest.count == promised, bytes.suffix(Self.digestBytes).elementsEqual(digest) else {
            throw .damaged
        }
        guard header.kind == kind else { throw .otherKind }

        var tensors: [String: Tensor] = [:]
        for (shape, size) in zip(header.tensors, sizes) {
            let tensor = Tensor(rows: shape.rows, columns: shape.columns)
            Self.take(&rest, size).withUnsafeBytes {
                UnsafeMutableRawBufferPointer(tensor.elements).copyMemory(from: $0)
            }
            tensors[shape.name] = tensor
        }
        self.init(kind: kind, fields: header.fields, tensors: tensors)
    }

    /// The bytes of each matrix, or nil when a header states impossible ones.
    private static func sizes(_ header: Header) -> [Int]? {
        let largest = 1 << 40
        var sizes: [Int] = []
        var sum = 0
        for shape in header.tensors {
            guard (0...largest).contains(shape.rows), (0...largest).contains(shape.columns)
            else { return nil }
            let (values, overflows) = shape.rows.multipliedReportingOverflow(by: shape.columns)
            guard !overflows, values <= largest, sum <= largest else { return nil }
            sizes.append(4 * values)
            sum += 4 * values
        }
        return sizes
    }

    /// Takes the next bytes, or those that are left.
    private static func take(_ rest: inout ArraySlice<UInt8>, _ count: Int) -> ArraySlice<UInt8> {
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }
}

/// The SHA-256 of some lines as hexadecimal digits; each line is free of line breaks.
func digest(ofLines lines: [String]) -> String {
    hexadecimal(SHA256.hash(data: Data(lines.joined(separator: "\n").utf8)))
}
