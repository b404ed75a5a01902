/// A picture of any count of channels, or the last rows of one: (channels, rows · width).
///
/// A picture that holds only its last `capacity` rows keeps row r at r modulo `capacity`; what
/// computes on it writes and reads its rows in order.
package struct Picture: Sendable {
    /// The values: (channels, capacity · width).
    package let tensor: Tensor
    package let height: Int
    package let width: Int
    /// How many rows are held; the height when all are.
    package let capacity: Int

    package var channels: Int { tensor.rows }
    package var pixels: Int { height * width }

    /// A picture of values that are there: (channels, height · width).
    package init(_ tensor: Tensor, height: Int, width: Int) {
        precondition(tensor.columns == height * width, "a value a pixel")
        self.tensor = tensor
        self.height = height
        self.width = width
        capacity = height
    }

    /// A picture with memory of its own, or of its last `capacity` rows.
    package init(channels: Int, height: Int, width: Int, capacity: Int? = nil) {
        self.height = height
        self.width = width
        self.capacity = min(height, capacity ?? height)
        tensor = Tensor(rows: channels, columns: self.capacity * width)
    }
}

/// Mean and spread of each channel in each tile of a picture: what its group norm needs.
package struct Moments: Sendable {
    /// Means, then sums of squared distances from them: (tiles, 2 · channels).
    let values: Tensor
    /// Pixels of each tile.
    let counts: [Int]

    /// Room for the moments of what `layer` makes of an output of these sizes.
    package init(of layer: Convolution, height: Int, width: Int) {
        let tiles = layer.tiles(height: height, width: width)
        values = Tensor(rows: tiles.count, columns: 2 * layer.outputs)
        counts = (0..<tiles.count).map { tiles.rows($0).count * tiles.columns($0).count }
    }

    init(channels: Int, parts: Parts) {
        values = Tensor(rows: parts.count, columns: 2 * channels)
        counts = (0..<parts.count).map { parts[$0].count }
    }
}

/// How an output of height × width pixels is cut into the tiles of a convolution.
///
/// The cut depends on these sizes alone, and a tile's values on nothing but its inputs: whatever
/// is computed at once or row of tiles by row of tiles, on any count of threads, is equal to the
/// last bit.
package struct Tiles: Sendable {
    private static let widest = 128
    private static let pixels = 256...1024

    private let rowParts: Parts
    private let columnParts: Parts
    /// 2 when a tile is made from a tile of half the size.
    private let factor: Int

    init(height: Int, width: Int, factor: Int) {
        let (height, width) = (height / factor, width / factor)
        let wanted = min(max(height * width / 16, Tiles.pixels.lowerBound), Tiles.pixels.upperBound)
        columnParts = Parts(width, atMost: Tiles.widest / factor)
        let widest = (width + columnParts.count - 1) / columnParts.count
        rowParts = Parts(height, atMost: max(1, wanted / factor / widest))
        self.factor = factor
    }

    /// How many rows of tiles there are.
    package var bands: Int { rowParts.count }
    var across: Int { columnParts.count }
    var count: Int { bands * across }
    /// Rows of the tallest band.
    package var tallest: Int {
        factor * ((rowParts.length + rowParts.count - 1) / rowParts.count)
    }
    /// Pixels of the largest tile, with `border` rows more.
    func largest(border: Int = 0) -> Int {
        factor * ((columnParts.length + columnParts.count - 1) / columnParts.count)
            * (tallest + border)
    }

    /// The rows of a band.
    package func rows(band: Int) -> Range<Int> {
        let rows = rowParts[band]
        return factor * rows.lowerBound..<factor * rows.upperBound
    }

    func rows(_ tile: Int) -> Range<Int> { rows(band: tile / across) }

    func columns(_ tile: Int) -> Range<Int> {
        let columns = columnParts[tile % across]
        return factor * columns.lowerBound..<factor * columns.upperBound
    }
}
