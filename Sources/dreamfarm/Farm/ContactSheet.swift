import FoundationEssentials
import Imaging

/// The PNG bytes of one picture that shows all of `pictures`, or nil where there are none.
///
/// - Parameter pictures: Paths of pictures, in the order in which the sheet shows them.
/// - Returns: The sheet, as square as it can be.
/// - Throws: `ImageError` for a file that is no picture.
func makeContactSheet(pictures: [String]) throws -> Data? {
    guard !pictures.isEmpty else { return nil }
    let decoder = ImageDecoder()
    let images = try pictures.map { try decoder.decode(path: $0) }
    let columns = Int(Double(images.count).squareRoot().rounded(.up))
    let sheet = ContactSheet().compose(images, columns: columns)
    return Data(try PNGEncoder.encode(sheet))
}
