import Foundation
import Glibc
import Imaging
import Testing

/// What `Fixtures/make_fixtures.py` wrote.
struct Manifest: Decodable {
    /// A file that decodes to known pixels.
    struct Case: Decodable, Sendable, CustomTestStringConvertible {
        let file: String
        let width: Int
        let height: Int
        let tolerance: Int
        let pixels: Int

        var testDescription: String { file }

        var image: PixelImage {
            Fixtures.pixels(pixels, width: width, height: height)
        }
    }

    /// A file that is refused with one of `ImageError`'s cases.
    struct Refusal: Decodable, Sendable, CustomTestStringConvertible {
        let file: String
        let error: String

        var testDescription: String { file }
    }

    /// A picture and what OpenCV scales it to.
    struct Resampling: Decodable, Sendable, CustomTestStringConvertible {
        let sourceWidth: Int
        let sourceHeight: Int
        let width: Int
        let height: Int
        let source: Int
        let pixels: Int

        var testDescription: String { "\(sourceWidth)x\(sourceHeight) to \(width)x\(height)" }

        var original: PixelImage {
            Fixtures.pixels(source, width: sourceWidth, height: sourceHeight)
        }

        var expected: PixelImage {
            Fixtures.pixels(pixels, width: width, height: height)
        }
    }

    let cases: [Case]
    let refused: [Refusal]
    let resamplings: [Resampling]

    /// The committed manifest; empty, which a test refuses, when it cannot be read.
    static let committed: Manifest = {
        let manifest = try? JSONDecoder().decode(
            Manifest.self,
            from: Data(Fixtures.bytes("manifest.json"))
        )
        return manifest ?? Manifest(cases: [], refused: [], resamplings: [])
    }()
}

/// The files beside the manifest.
enum Fixtures {
    static func path(_ name: String) -> String {
        Bundle.module.bundlePath + "/Fixtures/" + name
    }

    /// A picture that stands at an offset of `pixels.bin`.
    static func pixels(_ offset: Int, width: Int, height: Int) -> PixelImage {
        let pixels = Array(levels.dropFirst(offset).prefix(3 * width * height))
        return PixelImage(width: width, height: height, pixels: pixels)
    }

    private static let levels = (try? bytes("pixels.bin")) ?? []

    static func bytes(_ name: String) throws -> [UInt8] {
        try contents(of: path(name))
    }
}

/// The bytes of a file, read by C: Foundation leaks its buffer for an empty one.
func contents(of path: String) throws -> [UInt8] {
    let file = try #require(fopen(path, "rb"))
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while case let count = fread(&chunk, 1, chunk.count, file), count > 0 {
        bytes += chunk[..<count]
    }
    return bytes
}

/// A folder of its own for a test, removed afterwards.
func withTemporaryFolder(_ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.path + "/imaging-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try body(folder)
}

/// The name of an error's case.
func caseName(_ error: ImageError) -> String {
    Mirror(reflecting: error).children.first?.label ?? "\(error)"
}

/// The largest difference of two pictures of one size.
func largestDifference(_ one: PixelImage, _ other: PixelImage) throws -> Int {
    try #require(one.width == other.width && one.height == other.height)
    return zip(one.pixels, other.pixels).reduce(0) { max($0, abs(Int($1.0) - Int($1.1))) }
}

/// A small generator whose sequence never changes.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
