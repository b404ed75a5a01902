import Foundation
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
        let pixels: Data

        var testDescription: String { file }

        var image: PixelImage {
            PixelImage(width: width, height: height, pixels: Array(pixels))
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
        let source: Data
        let pixels: Data

        var testDescription: String { "\(sourceWidth)x\(sourceHeight) to \(width)x\(height)" }

        var original: PixelImage {
            PixelImage(width: sourceWidth, height: sourceHeight, pixels: Array(source))
        }

        var expected: PixelImage {
            PixelImage(width: width, height: height, pixels: Array(pixels))
        }
    }

    let cases: [Case]
    let refused: [Refusal]
    let resamplings: [Resampling]

    /// The committed manifest; empty, which a test refuses, when it cannot be read.
    static let committed: Manifest = {
        let path = Fixtures.path("manifest.json")
        let manifest = try? JSONDecoder().decode(
            Manifest.self,
            from: Data(contentsOf: URL(filePath: path))
        )
        return manifest ?? Manifest(cases: [], refused: [], resamplings: [])
    }()
}

/// The files beside the manifest.
enum Fixtures {
    static func path(_ name: String) -> String {
        Bundle.module.bundlePath + "/Fixtures/" + name
    }

    static func bytes(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(filePath: path(name))))
    }
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
