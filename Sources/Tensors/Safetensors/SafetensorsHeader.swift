/// One tensor of a file: its type, shape and place.
package struct SafetensorsEntry: Sendable, Hashable {
    /// The tensor's name.
    package let name: String
    /// The type of its values.
    package let type: SafetensorsType
    /// Its shape, outermost first; empty for a scalar.
    package let shape: [Int]
    /// Its bytes, counted from the end of the header.
    package let bytes: Range<Int>

    /// The product of the shape.
    package var count: Int { shape.reduce(1, *) }
}

/// The parsed and checked header of a safetensors file.
struct SafetensorsHeader {
    /// Headers longer than this are refused, as the format says.
    static let longest = 100_000_000

    private(set) var entries: [String: SafetensorsEntry] = [:]
    private(set) var metadata: [String: String] = [:]
    /// Bytes before the first tensor: the length field and the header itself.
    let dataStart: Int

    /// Reads the header and checks every entry against the file's size.
    ///
    /// Accepted are exactly the files that the reference implementation accepts: tensors lie
    /// one behind another without gaps or overlaps and end where the file ends.
    init(file: String, bytes: UnsafeRawBufferPointer) throws(SafetensorsError) {
        guard bytes.count >= 8 else {
            throw .truncated(file: file, holds: bytes.count, promises: 8)
        }
        let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        guard length <= UInt64(Self.longest) else {
            throw .header(
                file: file,
                problem: "its header length is \(length), the limit is \(Self.longest)"
            )
        }
        dataStart = 8 + Int(length)
        guard dataStart <= bytes.count else {
            throw .truncated(file: file, holds: bytes.count, promises: dataStart)
        }
        var scanner = HeaderScanner(
            bytes: UnsafeRawBufferPointer(rebasing: bytes[8..<dataStart])
        )
        do throws(HeaderScanner.Problem) {
            try parse(&scanner)
        } catch {
            throw .header(file: file, problem: error.description)
        }
        try check(file: file, fileSize: bytes.count)
    }

    private mutating func parse(_ scanner: inout HeaderScanner) throws(HeaderScanner.Problem) {
        try scanner.object { (scanner, name) throws(HeaderScanner.Problem) in
            if name == "__metadata__" {
                try scanner.object { (scanner, key) throws(HeaderScanner.Problem) in
                    metadata[key] = try scanner.string()
                }
                return
            }
            let entry = try Self.entry(name, &scanner)
            guard entries.updateValue(entry, forKey: name) == nil else {
                throw scanner.problem("the tensor '\(name)' stands there twice")
            }
        }
        try scanner.end()
    }

    private static func entry(
        _ name: String,
        _ scanner: inout HeaderScanner
    ) throws(HeaderScanner.Problem) -> SafetensorsEntry {
        var type: SafetensorsType?
        var shape: [Int]?
        var offsets: [Int]?
        try scanner.object { (scanner, key) throws(HeaderScanner.Problem) in
            switch key {
            case "dtype" where type == nil: type = SafetensorsType(name: try scanner.string())
            case "shape" where shape == nil: shape = try scanner.integers()
            case "data_offsets" where offsets == nil: offsets = try scanner.integers()
            default: throw scanner.problem("'\(name)' has an unknown or repeated key '\(key)'")
            }
        }
        guard let type, let shape, let offsets else {
            throw scanner.problem("'\(name)' lacks dtype, shape or data_offsets")
        }
        guard offsets.count == 2, offsets[0] <= offsets[1] else {
            throw scanner.problem("'\(name)' has data_offsets \(offsets)")
        }
        return SafetensorsEntry(
            name: name,
            type: type,
            shape: shape,
            bytes: offsets[0]..<offsets[1]
        )
    }

    private func check(file: String, fileSize: Int) throws(SafetensorsError) {
        let ordered = entries.values.sorted {
            ($0.bytes.lowerBound, $0.bytes.upperBound) < ($1.bytes.lowerBound, $1.bytes.upperBound)
        }
        var end = 0
        for entry in ordered {
            try Self.checkSize(entry, file: file)
            guard entry.bytes.lowerBound == end else {
                let problem =
                    entry.bytes.lowerBound < end
                    ? "overlaps another tensor: it starts at \(entry.bytes.lowerBound), "
                        + "the one before ends at \(end)"
                    : "leaves a gap: it starts at \(entry.bytes.lowerBound), "
                        + "the one before ends at \(end)"
                throw .entry(file: file, tensor: entry.name, problem: problem)
            }
            end = entry.bytes.upperBound
        }
        let (promised, overflow) = end.addingReportingOverflow(dataStart)
        guard !overflow, promised <= fileSize else {
            throw .truncated(
                file: file,
                holds: fileSize,
                promises: overflow ? Int.max : promised
            )
        }
        guard promised == fileSize else {
            throw .header(
                file: file,
                problem: "the file holds \(fileSize) bytes, its header accounts for \(promised)"
            )
        }
    }

    private static func checkSize(
        _ entry: SafetensorsEntry,
        file: String
    ) throws(SafetensorsError) {
        var count = entry.type.byteCount ?? 1
        var overflow = false
        for side in entry.shape where side != 0 {
            let product = count.multipliedReportingOverflow(by: side)
            overflow = overflow || product.overflow
            count = product.partialValue
        }
        // The product without zeros bounds every partial product that a reader may form.
        guard !overflow else {
            throw .entry(
                file: file,
                tensor: entry.name,
                problem: "has shape \(entry.shape), which no file can hold"
            )
        }
        guard entry.type.byteCount != nil else { return }
        let wanted = entry.shape.contains(0) ? 0 : count
        guard wanted == entry.bytes.count else {
            throw .entry(
                file: file,
                tensor: entry.name,
                problem: "has \(entry.bytes.count) bytes, \(entry.type) of shape \(entry.shape) "
                    + "takes \(wanted)"
            )
        }
    }
}
