/// Lays pictures out in a grid, each scaled to fit its cell and centred in it.
package struct ContactSheet: Sendable {
    /// One row: references in the leading columns, then the pictures made from them.
    package struct Row: Sendable {
        /// Shown first; rows with fewer of them leave cells empty.
        package let references: [PixelImage]

        /// The pictures, from the same column in every row.
        package let images: [PixelImage]

        /// Makes a row.
        package init(references: [PixelImage] = [], images: [PixelImage]) {
            self.references = references
            self.images = images
        }
    }

    /// The side of a square cell, in pixels.
    package let cell: Int

    /// Pixels between cells and round the sheet.
    package let margin: Int

    /// The gray level of what no picture covers.
    package let background: UInt8

    /// Makes a layout.
    package init(cell: Int = 256, margin: Int = 8, background: UInt8 = 255) {
        precondition(cell > 0 && margin >= 0, "A cell has at least one pixel.")
        self.cell = cell
        self.margin = margin
        self.background = background
    }

    /// Lays pictures out in rows of as many columns.
    package func compose(_ images: [PixelImage], columns: Int) -> PixelImage {
        precondition(columns > 0, "A grid has at least one column.")
        let rows = stride(from: 0, to: images.count, by: columns).map { start in
            Row(images: Array(images[start..<min(start + columns, images.count)]))
        }
        return compose(rows)
    }

    /// Lays rows out; no rows make a sheet of one empty cell.
    package func compose(_ rows: [Row]) -> PixelImage {
        let leading = rows.map(\.references.count).max() ?? 0
        let columns = max(1, leading + (rows.map(\.images.count).max() ?? 0))
        var sheet = PixelImage(
            width: extent(of: columns),
            height: extent(of: max(1, rows.count)),
            level: background
        )
        for (y, row) in rows.enumerated() {
            for (x, image) in row.references.enumerated() {
                place(image, column: x, row: y, on: &sheet)
            }
            for (x, image) in row.images.enumerated() {
                place(image, column: leading + x, row: y, on: &sheet)
            }
        }
        return sheet
    }

    private func extent(of cells: Int) -> Int { margin + cells * (cell + margin) }

    private func place(_ image: PixelImage, column: Int, row: Int, on sheet: inout PixelImage) {
        let longest = max(image.width, image.height)
        let fitted = AreaResampler.resize(
            image,
            width: max(1, image.width * cell / longest),
            height: max(1, image.height * cell / longest)
        )
        sheet.paste(
            fitted,
            x: extent(of: column) + (cell - fitted.width) / 2,
            y: extent(of: row) + (cell - fitted.height) / 2
        )
    }
}
