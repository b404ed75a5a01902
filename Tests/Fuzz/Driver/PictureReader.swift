import Imaging

/// Pictures: none takes more than the limits say, and what is decoded has the pixels that it names.
enum PictureReader {
    private static let decoder = ImageDecoder(
        limits: ImageLimits(maxPixels: 1 << 18, maxSide: 1 << 12, maxBytes: 1 << 20)
    )

    static func read(_ bytes: UnsafeBufferPointer<UInt8>) -> Int32 {
        let bytes = Array(bytes)
        _ = try? PNGText.read(bytes, name: "input")
        guard let image = try? decoder.decode(bytes, name: "input") else { return .taken }
        precondition(image.width * image.height <= 1 << 18, "more pixels than are allowed")
        precondition(image.pixels.count == image.width * image.height * 3, "pixels are missing")
        return .taken
    }
}
