import Crypto
package import Imaging

extension Condition {
    /// Reads a reference from its file.
    ///
    /// - Parameters:
    ///   - path: A PNG, JPEG or WebP file.
    ///   - task: What it is taken for.
    ///   - slot: Its placeholder's number.
    ///   - name: What messages call it; nil for the path.
    ///   - limits: What is refused before decoding.
    /// - Throws: `ImageError`, which names the file.
    package init(
        path: String,
        task: Task,
        slot: Int,
        name: String? = nil,
        limits: ImageLimits = ImageLimits()
    ) throws(ImageError) {
        let decoder = ImageDecoder(limits: limits)
        let bytes = try decoder.bytes(ofFile: path)
        self.init(
            name: name ?? path,
            task: task,
            slot: slot,
            image: try decoder.decode(bytes, name: name ?? path),
            digest: hexadecimal(SHA256.hash(data: bytes))
        )
    }
}

/// The bytes of a digest as lower-case hexadecimal digits.
func hexadecimal(_ digest: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef")
    return String(digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
}
