import Imaging
import Testing

@Suite struct ContactSheetTests {
    private let sheet = ContactSheet(cell: 8, margin: 2, background: 200)

    @Test("pictures stand in their cells, fitted and centred")
    func places() {
        let wide = PixelImage(width: 16, height: 8, level: 10)
        let small = PixelImage(width: 4, height: 4, level: 20)
        let composed = sheet.compose([
            ContactSheet.Row(images: [wide, small]), ContactSheet.Row(images: [wide]),
        ])
        #expect(composed.width == 2 + 2 * 10)
        #expect(composed.height == 2 + 2 * 10)
        // The wide one fills its cell's width and half its height; the small one grows.
        #expect(composed[2, 4] == [10, 10, 10])
        #expect(composed[9, 7] == [10, 10, 10])
        #expect(composed[2, 3] == [200, 200, 200])
        #expect(composed[2, 8] == [200, 200, 200])
        #expect(composed[12, 2] == [20, 20, 20])
        #expect(composed[19, 9] == [20, 20, 20])
        #expect(composed[20, 9] == [200, 200, 200])
        #expect(composed[2, 14] == [10, 10, 10])
        #expect(composed[12, 14] == [200, 200, 200])
    }

    @Test("references stand in the leading columns of every row")
    func references() {
        let reference = PixelImage(width: 8, height: 8, level: 1)
        let image = PixelImage(width: 8, height: 8, level: 2)
        let composed = sheet.compose([
            ContactSheet.Row(references: [reference, reference], images: [image]),
            ContactSheet.Row(references: [reference], images: [image, image]),
        ])
        let levels = (0..<2).map { row in
            (0..<4).map { column in composed[2 + 10 * column, 2 + 10 * row][0] }
        }
        #expect(levels == [[1, 1, 2, 200], [1, 200, 2, 2]])
    }

    @Test("no pictures make one empty cell")
    func empty() {
        #expect(sheet.compose([]) == PixelImage(width: 12, height: 12, level: 200))
    }
}
