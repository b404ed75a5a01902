import Glibc
import Tensors
import Testing

@testable import Diffusion
@testable import Networks

/// The sizes of the model that the committed adapters are for.
let adapterConfiguration = FluxConfiguration(
    inChannels: 16,
    numLayers: 2,
    numSingleLayers: 2,
    attentionHeadDim: 8,
    numAttentionHeads: 1,
    jointAttentionDim: 12,
    pooledProjectionDim: 10,
    guidanceEmbeds: true,
    axesDimsRope: [2, 2, 4]
)

/// A committed file below `Tests/Fixtures/Adapters`.
func adapterFixture(_ name: String) -> String {
    let tests = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2)
    return tests.joined(separator: "/") + "/Fixtures/Adapters/\(name).safetensors"
}

/// Base weights as the fixtures' script has them: exact in float32, different everywhere.
struct FormulaSource: ParameterSource {
    func shape(of name: String) -> [Int]? { nil }

    func read(
        _ name: String,
        shape: [Int],
        into destination: UnsafeMutableBufferPointer<Float>
    ) throws {
        for index in 0..<shape.reduce(1, *) {
            destination[index] = Float((index * 37 + name.utf8.count * 11) % 101 - 50) / 64
        }
    }
}

extension ParameterSource {
    /// A whole tensor.
    func tensor(_ name: String, _ shape: [Int]) throws -> [Float] {
        var values = [Float](repeating: .nan, count: shape.reduce(1, *))
        try values.withUnsafeMutableBufferPointer { try read(name, shape: shape, into: $0) }
        return values
    }
}

/// Checks every weight of a golden file against what a source reads.
func expectMerged(_ source: AdaptedSource, equals golden: String, tolerance: Float) throws {
    let file = try SafetensorsFile(path: adapterFixture(golden))
    #expect(!file.names.isEmpty)
    for name in file.names {
        let shape = try #require(file.shape(of: name))
        let expected = try file.values(of: name)
        let found = try source.tensor(name, shape)
        let error = zip(found, expected).map { abs($0 - $1) }.max() ?? .infinity
        #expect(error <= tolerance, "\(name) is off by \(error)")
    }
    #expect(source.unusedTargets() == [])
}

/// A folder that is removed when the test lets go of it.
final class TemporaryFolder {
    let path: String

    init() throws {
        var template = Array("/tmp/adapters-XXXXXX".utf8CString)
        path = String(cString: try #require(mkdtemp(&template)))
    }

    deinit {
        for name in written.reversed() {
            remove(name)
        }
        remove(path)
    }

    private var written: [String] = []

    /// Writes a file, making its folder; returns its path.
    func write(_ bytes: [UInt8], to name: String) throws -> String {
        let parts = name.split(separator: "/")
        if parts.count == 2, mkdir("\(path)/\(parts[0])", 0o700) == 0 {
            written.append("\(path)/\(parts[0])")
        }
        let target = "\(path)/\(name)"
        let file = try #require(fopen(target, "w"))
        written.append(target)
        #expect(fwrite(bytes, 1, bytes.count, file) == bytes.count)
        #expect(fclose(file) == 0)
        return target
    }

    /// Copies a committed adapter; returns the copy's path.
    func copy(_ fixture: String, to name: String) throws -> String {
        let file = try #require(fopen(adapterFixture(fixture), "r"))
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 17)
        let count = fread(&bytes, 1, bytes.count, file)
        return try write(Array(bytes[..<count]), to: name)
    }

    /// Writes a safetensors file of float32 tensors that are all ones; returns its path.
    func write(ones shapes: [String: [Int]], to name: String = "lora.safetensors") throws -> String
    {
        var header: [String] = []
        var offset = 0
        for (key, shape) in shapes.sorted(by: { $0.key < $1.key }) {
            let end = offset + 4 * shape.reduce(1, *)
            header.append(
                "\"\(key)\":{\"dtype\":\"F32\",\"shape\":\(shape),\"data_offsets\":[\(offset),\(end)]}"
            )
            offset = end
        }
        let text = Array("{\(header.joined(separator: ","))}".utf8)
        let size = (0..<8).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) }
        let one: [UInt8] = [0, 0, 0x80, 0x3F]
        let ones = repeatElement(one, count: offset / 4).joined()
        return try write(size + text + ones, to: name)
    }
}
