import CKernels
import Glibc

/// A safetensors file, mapped read-only, whose tensors are read as float32.
///
/// The header is checked once, in full, when the file is opened. A tensor's pages are given back
/// to the system while it is converted, so a file of weights never stays in memory beside the
/// converted copy. The file must not be cut while it is open.
package final class SafetensorsFile: ParameterSource {
    /// The path that the file was opened with.
    package let path: String
    /// The tensors by name.
    package let entries: [String: SafetensorsEntry]
    /// The header's free-form strings.
    package let metadata: [String: String]
    /// Bytes of the whole file.
    package let fileSize: Int

    private let mapping: FileMapping
    private let dataStart: Int

    /// Opens the file and checks its header.
    package init(path: String) throws(SafetensorsError) {
        self.path = path
        mapping = try FileMapping(path: path)
        fileSize = mapping.bytes.count
        let header = try SafetensorsHeader(file: path, bytes: mapping.bytes)
        entries = header.entries
        metadata = header.metadata
        dataStart = header.dataStart
    }

    /// The tensors' names, sorted.
    package var names: [String] { entries.keys.sorted() }

    /// The shape of the tensor with that name, or nil when the file has none.
    package func shape(of name: String) -> [Int]? { entries[name]?.shape }

    /// Reads one tensor as float32, row-major.
    package func read(
        _ name: String,
        shape: [Int],
        into destination: UnsafeMutableBufferPointer<Float>
    ) throws {
        let entry = try entry(name, shape: shape)
        try read(entry.name, elements: 0..<entry.count, into: destination)
    }

    /// Reads consecutive values of one tensor as float32; the file's other pages stay untouched.
    ///
    /// A scalar `X.scale_weight` or `X.weight_scale` beside an eight-bit `X.weight` is multiplied
    /// in.
    ///
    /// - Parameters:
    ///   - name: The tensor's name.
    ///   - elements: Indices into the flattened tensor.
    ///   - destination: As many values as `elements` has.
    ///   - isFollowed: Whether the values behind them will be wanted too.
    /// - Throws: `SafetensorsError` when the tensor is missing, has a type that cannot be
    ///   converted, or holds a value that is not finite.
    package func read(
        _ name: String,
        elements: Range<Int>,
        into destination: UnsafeMutableBufferPointer<Float>,
        isFollowed: Bool = true
    ) throws(SafetensorsError) {
        guard let entry = entries[name] else { throw .missing(file: path, tensor: name) }
        precondition(elements.lowerBound >= 0 && elements.upperBound <= entry.count)
        precondition(destination.count >= elements.count, "the destination is too small")
        guard let width = entry.type.byteCount, FloatConversion.reads(entry.type) else {
            throw .type(file: path, tensor: name, type: entry.type.description)
        }
        let conversion = FloatConversion(type: entry.type, scale: try scale(of: entry))
        let values = UnsafeMutableBufferPointer(rebasing: destination.prefix(elements.count))
        let chunk = 1 << 20
        for start in stride(from: 0, to: values.count, by: chunk) {
            let end = min(start + chunk, values.count)
            let first = dataStart + entry.bytes.lowerBound + (elements.lowerBound + start) * width
            let source = first..<(first + (end - start) * width)
            let part = UnsafeMutableBufferPointer(rebasing: values[start..<end])
            mapping.fetch(source, isFollowed: isFollowed)
            conversion.convert(part, from: mapping.bytes(in: source))
            mapping.release(source)
            let bad = kernel_first_nonfinite_f32(part.baseAddress, part.count)
            guard bad == part.count else {
                throw .notFinite(
                    file: path,
                    tensor: name,
                    index: elements.lowerBound + start + bad,
                    value: part[bad]
                )
            }
        }
    }

    /// Reads one tensor into a new array, whatever its shape.
    package func values(of name: String) throws(SafetensorsError) -> [Float] {
        guard let entry = entries[name] else { throw .missing(file: path, tensor: name) }
        var values = [Float](repeating: 0, count: entry.count)
        try values.withUnsafeMutableBufferPointer { (buffer) throws(SafetensorsError) in
            try read(name, elements: 0..<entry.count, into: buffer)
        }
        return values
    }

    /// The bytes of a tensor as they are in the mapped file, which they keep open; a copy where the
    /// file does not put them on a cache line.
    ///
    /// The pages are brought in now and stay: what reads them later does not wait for the disk. Where
    /// not all of them are wanted, they come in as they are touched.
    func memory(_ name: String, isAllWanted: Bool) throws(SafetensorsError) -> Memory {
        guard let entry = entries[name] else { throw .missing(file: path, tensor: name) }
        let range = dataStart + entry.bytes.lowerBound..<dataStart + entry.bytes.upperBound
        let count = range.count / MemoryLayout<Float>.stride
        if isAllWanted { mapping.fetch(range) }
        let bytes = mapping.bytes(in: range)
        guard let start = bytes.baseAddress, range.count.isMultiple(of: MemoryLayout<Float>.stride)
        else {
            throw .entry(file: path, tensor: name, problem: "is no whole number of words")
        }
        if Int(bitPattern: start).isMultiple(of: 64) {
            let values = UnsafeMutableRawPointer(mutating: start)
            return Memory(values.assumingMemoryBound(to: Float.self), count: count, of: mapping)
        }
        let copy = Memory(count: count)
        UnsafeMutableRawPointer(copy.base).copyMemory(from: start, byteCount: range.count)
        return copy
    }

    /// Calls `body` with the stored bytes of all or some values of a tensor, piece by piece.
    ///
    /// Pages are given back after each piece.
    package func forEachPiece(
        of name: String,
        elements: Range<Int>? = nil,
        _ body: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        guard let entry = entries[name] else {
            throw SafetensorsError.missing(file: path, tensor: name)
        }
        let elements = elements ?? 0..<entry.count
        guard let width = entry.type.byteCount else {
            throw SafetensorsError.type(
                file: path,
                tensor: name,
                type: entry.type.description
            )
        }
        guard elements.upperBound <= entry.count else {
            throw SafetensorsError.missing(file: path, tensor: name)
        }
        let piece = 4 << 20
        let base = dataStart + entry.bytes.lowerBound
        let end = base + elements.upperBound * width
        for first in stride(from: base + elements.lowerBound * width, to: end, by: piece) {
            let range = first..<min(first + piece, end)
            mapping.fetch(range)
            try body(mapping.bytes(in: range))
            mapping.release(range)
        }
    }

    /// The factor of a float8 weight's values that a tensor beside it gives, else 1.
    package func scale(of name: String) throws(SafetensorsError) -> Float {
        guard let entry = entries[name] else { throw .missing(file: path, tensor: name) }
        return try scale(of: entry)
    }

    private func entry(
        _ name: String,
        shape: [Int]
    ) throws(SafetensorsError) -> SafetensorsEntry {
        guard let entry = entries[name] else { throw .missing(file: path, tensor: name) }
        guard entry.shape == shape else {
            throw .shape(file: path, tensor: name, holds: entry.shape, wanted: shape)
        }
        return entry
    }

    private func scale(of entry: SafetensorsEntry) throws(SafetensorsError) -> Float {
        guard entry.type.isFloat8, entry.name.hasSuffix(".weight") else { return 1 }
        let stem = entry.name.dropLast("weight".count)
        guard let scale = entries[stem + "scale_weight"] ?? entries[stem + "weight_scale"]
        else { return 1 }
        guard scale.count == 1 else {
            throw .shape(file: path, tensor: scale.name, holds: scale.shape, wanted: [])
        }
        return try values(of: scale.name)[0]
    }
}
