import FarmModel
import Imaging

/// A picture on the disk and what it was made with.
struct DeliveredPicture {
    var path: String
    var settings: RenderSettings?
}

/// The contact sheet of a job: a row for each prompt and set of references, in the order of the
/// job's images.
struct JobSheet {
    /// The pictures of one prompt with one set of references.
    struct Group: Equatable {
        var references: [ConditionSpecification]
        var paths: [String]
    }

    /// Most pictures side by side; a longer group goes on in the next row.
    static let rowLength = 12
    /// Most pixels of cells, so that the sheet of a large job can be looked at.
    private static let mostPixels = 1 << 26
    private static let smallestCell = 16

    let groups: [Group]
    /// The size of its cells: smaller where there are many.
    let layout: ContactSheet

    /// Sorts pictures into rows.
    init(_ pictures: [DeliveredPicture]) {
        struct Key: Hashable {
            var prompt: String
            var references: [ConditionSpecification]
        }
        var groups: [Group] = []
        var places: [Key: Int] = [:]
        for picture in pictures {
            let references = picture.settings?.references ?? []
            let key = Key(prompt: picture.settings?.prompt ?? "", references: references)
            if let place = places[key] {
                groups[place].paths.append(picture.path)
            } else {
                places[key] = groups.count
                groups.append(Group(references: references, paths: [picture.path]))
            }
        }
        self.groups = groups
        let rows = groups.reduce(0) {
            $0 + ($1.paths.count + Self.rowLength - 1) / Self.rowLength
        }
        let columns =
            (groups.map(\.references.count).max() ?? 0)
            + min(Self.rowLength, groups.map(\.paths.count).max() ?? 0)
        var cell = 256
        while cell > Self.smallestCell, rows * columns * cell * cell > Self.mostPixels {
            cell /= 2
        }
        layout = ContactSheet(cell: cell)
    }

    /// The references of all rows, each once, with the names that their submitter gave them.
    var references: [BlobDigest: String] {
        var names: [BlobDigest: String] = [:]
        for reference in groups.flatMap(\.references) {
            if let digest = reference.sha256 { names[digest] = reference.image }
        }
        return names
    }

    /// The sheet as a PNG.
    ///
    /// - Parameter references: The thumbnails of references; those that are not there leave no gap.
    /// - Returns: The bytes of the file.
    /// - Throws: `ImageError` for a file that is no picture.
    func png(references: [BlobDigest: PixelImage]) throws -> [UInt8] {
        let decoder = ImageDecoder()
        var rows: [ContactSheet.Row] = []
        for group in groups {
            var thumbnails = group.references.compactMap { $0.sha256.flatMap { references[$0] } }
            for start in stride(from: 0, to: group.paths.count, by: Self.rowLength) {
                let paths = group.paths[start...].prefix(Self.rowLength)
                let images = try paths.map { layout.fitted(try decoder.decode(path: $0)) }
                rows.append(ContactSheet.Row(references: thumbnails, images: images))
                thumbnails = []
            }
        }
        return try PNGEncoder.encode(layout.compose(rows))
    }
}
