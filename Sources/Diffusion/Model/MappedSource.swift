package import Tensors

/// Where a tensor of the diffusers layout lies in files of another layout.
package struct TensorPlace: Equatable, Sendable {
    /// The stored tensor's name.
    var tensor: String
    /// The stored rows, in the order in which they are read; nil means all.
    var rows: [Range<Int>]?
    /// Whether trailing sides of 1 are left out: a 1×1 convolution read as a linear layer.
    var isPointwise = false

    /// The shape of what is read, or nil when the file has no such tensor or too few rows.
    func shape(in set: SafetensorsSet) -> [Int]? {
        guard var shape = set.shape(of: tensor) else { return nil }
        if let rows {
            guard let height = shape.first, rows.allSatisfy({ $0.upperBound <= height }) else {
                return nil
            }
            shape[0] = rows.reduce(0) { $0 + $1.count }
        }
        if isPointwise {
            while shape.count > 2, shape.last == 1 { shape.removeLast() }
        }
        return shape
    }
}

/// A source whose tensors are stored tensors, or rows of them, under other names.
package protocol MappedSource: ParameterSource {
    /// The stored weights.
    var set: SafetensorsSet { get }

    /// Where a tensor lies, or nil when the layout has no such name.
    func place(of name: String) -> TensorPlace?
}

extension MappedSource {
    package func shape(of name: String) -> [Int]? {
        place(of: name)?.shape(in: set)
    }

    /// Where a tensor lies that has a shape, and the shape of what it is stored in.
    ///
    /// - Throws: `SafetensorsError` when it is missing or has another shape.
    private func located(
        _ name: String,
        _ shape: [Int]
    ) throws(SafetensorsError) -> (place: TensorPlace, stored: [Int]) {
        guard let place = place(of: name) else {
            throw .missing(file: set.location, tensor: name)
        }
        guard let stored = set.shape(of: place.tensor), let held = place.shape(in: set) else {
            throw .missing(file: set.location, tensor: place.tensor)
        }
        guard held == shape else {
            let file = set.file(of: place.tensor)?.path ?? set.location
            throw .shape(file: file, tensor: name, holds: held, wanted: shape)
        }
        return (place, stored)
    }

    package func read(
        _ name: String,
        shape: [Int],
        into destination: UnsafeMutableBufferPointer<Float>
    ) throws {
        let (place, stored) = try located(name, shape)
        let width = stored.dropFirst().reduce(1, *)
        var start = 0
        for rows in place.rows ?? [0..<(stored.first ?? 1)] {
            let elements = (rows.lowerBound * width)..<(rows.upperBound * width)
            let part = UnsafeMutableBufferPointer(
                rebasing: destination[start..<(start + elements.count)]
            )
            try set.read(place.tensor, elements: elements, into: part)
            start += elements.count
        }
    }

    package func read(
        _ name: String,
        shape: [Int],
        rows: Range<Int>,
        columns: Range<Int>,
        into destination: Tensor
    ) throws {
        precondition(shape.count == 2, "rows and columns are a matrix's")
        let (place, stored) = try located(name, shape)
        let width = shape[1]
        var (first, row) = (0, 0)
        for range in place.rows ?? [0..<stored[0]] {
            // The wanted ones among the rows of this range, as they are stored.
            let begin = max(rows.lowerBound - first, 0) + range.lowerBound
            let end = min(rows.upperBound - first + range.lowerBound, range.upperBound)
            first += range.count
            guard begin < end else { continue }
            let part = destination.rows(row..<row + end - begin)
            row += end - begin
            if columns.count == width, part.isContiguous {
                let elements = begin * width..<end * width
                try set.read(place.tensor, elements: elements, into: part.elements)
                continue
            }
            for index in 0..<part.rows {
                let start = (begin + index) * width
                try set.read(
                    place.tensor,
                    elements: start + columns.lowerBound..<start + columns.upperBound,
                    into: part.rows(index..<index + 1).elements,
                    isFollowed: false
                )
            }
        }
    }
}

/// Weights in the diffusers layout, under a prefix or under other names of the same tensors.
package struct DiffusersSource: MappedSource {
    package let set: SafetensorsSet
    private let prefix: String

    /// The weights of one part.
    ///
    /// - Parameters:
    ///   - set: The stored weights.
    ///   - prefix: What stands before each name in the files.
    package init(_ set: SafetensorsSet, prefix: String = "") {
        self.set = set
        self.prefix = prefix
    }

    /// The place under the name itself, else under the other names that published files use:
    /// CLIP without `text_model.`, T5's table as `encoder.embed_tokens.weight`.
    package func place(of name: String) -> TensorPlace? {
        var names = [prefix + name]
        if name.hasPrefix("text_model.") { names.append(String(name.dropFirst(11))) }
        if name == "shared.weight" { names.append("encoder.embed_tokens.weight") }
        return names.first { set.shape(of: $0) != nil }.map { TensorPlace(tensor: $0) }
    }
}
