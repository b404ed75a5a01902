import Networks
import Tensors

/// What the leader of a group tells the others to compute with it.
enum GroupMessage {
    /// A picture's branch begins.
    case open(branch: Int, FluxTrunk.Conditions, stepCache: Float)
    /// The modulating vectors of the branch's next steps: (steps, hidden).
    case modulate(branch: Int, temb: Tensor)
    /// A step, counted from the first of those vectors, from these latents: (tokens, channels).
    case step(branch: Int, step: Int, latents: Tensor)
    /// A branch is over.
    case close(branch: Int)
    /// A prompt's input rows for T5: (tokens, model width).
    case text(Tensor)
    /// No users' adapters from now on.
    case clearAdapters
    /// One layer's pair of a user's adapter, beside those before: each by itself, since all of an
    /// adapter may have gigabytes.
    case adapter(SideBranch)

    private enum Kind: UInt8 {
        case open = 1
        case modulate, step, close, text, clearAdapters, adapter
    }

    /// The message as bytes; numbers in the machine's own order, which all members share.
    var bytes: [UInt8] {
        var writer = MessageWriter()
        switch self {
        case .open(let branch, let conditions, let stepCache):
            writer.write(Kind.open.rawValue)
            writer.write(branch)
            writer.write(stepCache)
            writer.write(conditions.text)
            writer.write(optional: conditions.outputEmbedding)
            writer.write(conditions.references.count)
            for reference in conditions.references {
                writer.write(reference.tokens)
                writer.write(optional: reference.embedding)
            }
            writer.write(conditions.positions.count)
            for position in conditions.positions {
                writer.write(Int32(position.row))
                writer.write(Int32(position.column))
            }
        case .modulate(let branch, let temb):
            writer.write(Kind.modulate.rawValue)
            writer.write(branch)
            writer.write(temb)
        case .step(let branch, let step, let latents):
            writer.write(Kind.step.rawValue)
            writer.write(branch)
            writer.write(step)
            writer.write(latents)
        case .close(let branch):
            writer.write(Kind.close.rawValue)
            writer.write(branch)
        case .text(let rows):
            writer.write(Kind.text.rawValue)
            writer.write(rows)
        case .clearAdapters: writer.write(Kind.clearAdapters.rawValue)
        case .adapter(let branch):
            writer.write(Kind.adapter.rawValue)
            writer.write(branch.module)
            writer.write(branch.firstOutput)
            writer.write(branch.down)
            writer.write(branch.up)
        }
        return writer.bytes
    }

    /// Reads a message.
    ///
    /// - Throws: ``GroupError/unreadable`` for bytes that are none.
    init(_ bytes: [UInt8]) throws(GroupError) {
        var reader = MessageReader(bytes)
        guard let kind = Kind(rawValue: try reader.value()) else { throw .unreadable }
        switch kind {
        case .open:
            let branch = try reader.count()
            let stepCache = try reader.value(of: Float.self)
            let text = try reader.tensor()
            let output = try reader.optionalTensor()
            var references: [FluxTrunk.Reference] = []
            for _ in 0..<(try reader.count()) {
                references.append(
                    FluxTrunk.Reference(
                        tokens: try reader.tensor(),
                        embedding: try reader.optionalTensor()
                    )
                )
            }
            var positions: [TokenPosition] = []
            for _ in 0..<(try reader.count()) {
                let row = Int(try reader.value(of: Int32.self))
                let column = Int(try reader.value(of: Int32.self))
                positions.append(TokenPosition(row: row, column: column))
            }
            let conditions = FluxTrunk.Conditions(
                text: text,
                references: references,
                outputEmbedding: output,
                positions: positions
            )
            self = .open(branch: branch, conditions, stepCache: stepCache)
        case .modulate: self = .modulate(branch: try reader.count(), temb: try reader.tensor())
        case .step:
            self = .step(
                branch: try reader.count(),
                step: try reader.count(),
                latents: try reader.tensor()
            )
        case .close: self = .close(branch: try reader.count())
        case .text: self = .text(try reader.tensor())
        case .clearAdapters: self = .clearAdapters
        case .adapter:
            let module = try reader.string()
            let first = try reader.count()
            self = .adapter(
                SideBranch(
                    module: module,
                    down: try reader.tensor(),
                    up: try reader.tensor(),
                    firstOutput: first
                )
            )
        }
        guard reader.isAtEnd else { throw .unreadable }
    }
}

/// Why members of a group cannot compute together.
package enum GroupError: Error, Equatable, CustomStringConvertible {
    /// The leader's message cannot be read: another release, most likely.
    case unreadable
    /// The connection failed, for this reason.
    case broken(reason: String)
    /// The model cannot be split into so many parts.
    case tooManyRanks(ranks: Int, heads: Int)

    package var description: String {
        switch self {
        case .unreadable:
            "the group's leader said what this release does not know; run one release in a group"
        case .broken(let reason): reason
        case .tooManyRanks(let ranks, let heads):
            "a model of \(heads) attention heads cannot be split over \(ranks) workers; "
                + "form a group of at most \(heads)"
        }
    }
}

private struct MessageWriter {
    private(set) var bytes: [UInt8] = []

    mutating func write<Value: BitwiseCopyable>(_ value: Value) {
        withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
    }

    mutating func write(_ text: String) {
        write(text.utf8.count)
        bytes.append(contentsOf: text.utf8)
    }

    mutating func write(_ tensor: Tensor) {
        write(tensor.rows)
        write(tensor.columns)
        for row in 0..<tensor.rows {
            let values = UnsafeBufferPointer(start: tensor.row(row), count: tensor.columns)
            bytes.append(contentsOf: UnsafeRawBufferPointer(values))
        }
    }

    mutating func write(optional tensor: Tensor?) {
        write(UInt8(tensor == nil ? 0 : 1))
        if let tensor { write(tensor) }
    }
}

private struct MessageReader {
    private let bytes: [UInt8]
    private var place = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    var isAtEnd: Bool { place == bytes.count }

    mutating func value<Value: BitwiseCopyable>(
        of type: Value.Type = Value.self
    ) throws(GroupError) -> Value {
        let start = try take(MemoryLayout<Value>.size)
        return bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: start, as: type) }
    }

    /// A number that is not negative and can be a count.
    mutating func count() throws(GroupError) -> Int {
        let count = try value(of: Int.self)
        guard (0..<1 << 40).contains(count) else { throw .unreadable }
        return count
    }

    mutating func string() throws(GroupError) -> String {
        let length = try count()
        let start = try take(length)
        return String(decoding: bytes[start..<start + length], as: UTF8.self)
    }

    mutating func tensor() throws(GroupError) -> Tensor {
        let (rows, columns) = (try count(), try count())
        let (values, isTooLarge) = rows.multipliedReportingOverflow(by: columns)
        guard !isTooLarge, values <= bytes.count else { throw .unreadable }
        let size = values * MemoryLayout<Float>.stride
        let start = try take(size)
        let tensor = Tensor(rows: rows, columns: columns)
        bytes.withUnsafeBytes {
            UnsafeMutableRawBufferPointer(tensor.elements)
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[start..<start + size]))
        }
        return tensor
    }

    mutating func optionalTensor() throws(GroupError) -> Tensor? {
        try value(of: UInt8.self) == 0 ? nil : try tensor()
    }

    private mutating func take(_ length: Int) throws(GroupError) -> Int {
        guard length <= bytes.count - place else { throw .unreadable }
        defer { place += length }
        return place
    }
}
