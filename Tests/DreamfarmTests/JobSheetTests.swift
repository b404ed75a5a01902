import FarmModel
import Foundation
import Imaging
import Testing

@testable import dreamfarm

@Suite("The contact sheet of a job")
struct JobSheetTests {
    private let folder: TaskFolder

    init() throws {
        folder = try TaskFolder()
    }

    private let woman = BlobDigest(of: Data("woman".utf8))
    private let jacket = BlobDigest(of: Data("jacket".utf8))

    private func reference(_ digest: BlobDigest, slot: Int) -> ConditionSpecification {
        ConditionSpecification(image: "\(slot).png", sha256: digest, task: .ip, slot: slot)
    }

    /// The pictures of a job over two prompts and seeds, in one gray level each.
    private func pictures(
        _ prompts: [(text: String, references: [ConditionSpecification])],
        seeds: Int
    ) throws -> [DeliveredPicture] {
        let lists = prompts.map { prompt in
            let references = prompt.references.map { reference in
                "{image: \(reference.image), task: ip, slot: \(reference.slot),"
                    + " sha256: \(reference.sha256?.rawValue ?? "")}"
            }
            return "[" + references.joined(separator: ", ") + "]"
        }
        let texts = prompts.map { "\"\($0.text)\"" }.joined(separator: ", ")
        let job = try JobSpecification(
            parsing: """
                parameters:
                  prompt: [\(texts)]
                  references: [\(lists.joined(separator: ", "))]
                  seed: 1-\(seeds)
                combination: (prompt, references) * seed
                """
        )
        let defaults = ModelDefaults(width: 16, height: 16, refRes: 16, steps: 1, guidance: 1)
        return try job.images(defaults: defaults, seed: 0, label: "job").map { image in
            let path = "\(folder.path)/\(image.index).png"
            let level = PixelImage(width: 16, height: 16, level: UInt8(100 + image.index))
            try Data(PNGEncoder.encode(level)).write(to: URL(filePath: path))
            return DeliveredPicture(path: path, settings: image.settings)
        }
    }

    /// The gray levels in the middle of a sheet's cells, row by row.
    private func levels(_ png: [UInt8], _ layout: ContactSheet) throws -> [[UInt8]] {
        let sheet = try ImageDecoder().decode(png, name: "sheet")
        let pitch = layout.cell + layout.margin
        return (0..<sheet.height / pitch).map { row in
            (0..<sheet.width / pitch).map { column in
                sheet[column * pitch + pitch / 2, row * pitch + pitch / 2][0]
            }
        }
    }

    @Test("a row is a prompt with its references, which stand at its left")
    func rows() throws {
        let pictures = try pictures(
            [
                ("a", [reference(woman, slot: 1), reference(jacket, slot: 2)]),
                ("b", [reference(jacket, slot: 1)]),
            ],
            seeds: 2
        )
        let sheet = JobSheet(pictures)
        #expect(Set(sheet.references.keys) == [woman, jacket])
        let thumbnails = [woman, jacket].enumerated().map { index, digest in
            (digest, PixelImage(width: 8, height: 8, level: UInt8(1 + index)))
        }
        let png = try sheet.png(references: Dictionary(uniqueKeysWithValues: thumbnails))
        #expect(try levels(png, sheet.layout) == [[1, 2, 100, 101], [2, 255, 102, 103]])
        // A reference that could not be fetched is left out, and the pictures stay.
        let rest = try sheet.png(references: [jacket: thumbnails[1].1])
        #expect(try levels(rest, sheet.layout) == [[2, 100, 101], [2, 102, 103]])
    }

    @Test("a long row goes on below, and the cells of a large sheet are smaller")
    func long() throws {
        let length = JobSheet.rowLength
        let pictures = try pictures([("a", [])], seeds: length + 1)
        let sheet = JobSheet(pictures)
        let rows = try levels(try sheet.png(references: [:]), sheet.layout)
        #expect(rows.count == 2 && rows[0].count == length && sheet.layout.cell == 256)
        #expect(rows[1] == [UInt8(100 + length)] + [UInt8](repeating: 255, count: length - 1))
        let many = [[DeliveredPicture]](repeating: pictures, count: 200).flatMap { $0 }
        #expect(JobSheet(many).layout.cell == 128)
    }
}
