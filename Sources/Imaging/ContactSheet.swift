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

    /// A picture scaled to fit a cell: what is kept of a picture until the sheet is composed.
    package func fitted(_ image: PixelImage) -> PixelImage {
        let longest = max(image.width, image.height)
        return AreaResampler.resize(
            image,
            width: max(1, image.width * cell / longest),
            height: max(1, image.height * cell / longest)
        )
    }

    private func extent(of cells: Int) -> Int { margin + cells * (cell + margin) }

    private func place(_ image: PixelImage, column: Int, row: Int, on sheet: inout PixelImage) {
        let fitted = fitted(image)
        sheet.paste(
            fitted,
            x: extent(of: column) + (cell - fitted.width) / 2,
            y: extent(of: row) + (cell - fitted.height) / 2
        )
    }
}
