import Imaging
import Testing

@Suite struct ImageDecoderTests {
    @Test("the manifest has every kind of file")
    func manifestIsWhole() {
        let manifest = Manifest.committed
        #expect(manifest.cases.count >= 80)
        #expect(manifest.refused.count >= 20)
        #expect(manifest.resamplings.count >= 20)
    }

    @Test("a file decodes to the reference's pixels", arguments: Manifest.committed.cases)
    func decodes(_ sample: Manifest.Case) throws {
        let image = try ImageDecoder().decode(path: Fixtures.path(sample.file))
        #expect(image.width == sample.width)
        #expect(image.height == sample.height)
        #expect(try largestDifference(image, sample.image) <= sample.tolerance)
    }

    @Test("a bad file is refused with its own error", arguments: Manifest.committed.refused)
    func refuses(_ sample: Manifest.Refusal) throws {
        let bytes = try Fixtures.bytes(sample.file)
        let error = try #require(throws: ImageError.self) {
            try ImageDecoder().decode(bytes, name: sample.file)
        }
        #expect(caseName(error) == sample.error, "\(error)")
        #expect(error.description.contains(sample.file))
        #expect(!error.description.contains("\n"))
    }

    @Test("a file with many scans is refused for its scans")
    func refusesManyScans() throws {
        let error = try #require(throws: ImageError.self) {
            try ImageDecoder().decode(path: Fixtures.path("many-scans.jpg"))
        }
        #expect(error.description.contains("Invalid progressive"), "\(error)")
    }

    @Test(
        "bytes of no known format are named so",
        arguments: ["", "GIF89a", "RIFF....WAVE", "\u{89}PNG"]
    )
    func refusesUnknown(_ text: String) {
        #expect(throws: ImageError.unknownFormat(name: "it")) {
            try ImageDecoder().decode(Array(text.utf8), name: "it")
        }
    }

    @Test("a path that cannot be read says why")
    func refusesPaths() throws {
        try withTemporaryFolder { folder in
            let missing = try #require(throws: ImageError.self) {
                try ImageDecoder().decode(path: folder + "/none.png")
            }
            let reason = "No such file or directory"
            #expect(missing == .unreadable(name: folder + "/none.png", reason: reason))
            let directory = try #require(throws: ImageError.self) {
                try ImageDecoder().decode(path: folder)
            }
            #expect(directory == .unreadable(name: folder, reason: "Is a directory"))
        }
    }

    @Test("each limit refuses a picture one over it")
    func limits() throws {
        let bytes = try Fixtures.bytes("opaque.png")
        let exact = ImageLimits(maxPixels: 13 * 11, maxSide: 13, maxBytes: bytes.count)
        #expect(try ImageDecoder(limits: exact).decode(bytes, name: "it").width == 13)
        for limits in [
            ImageLimits(maxPixels: 13 * 11 - 1), ImageLimits(maxSide: 12),
        ] {
            #expect(
                throws: ImageError.tooLarge(name: "it", width: 13, height: 11, limits: limits)
            ) {
                try ImageDecoder(limits: limits).decode(bytes, name: "it")
            }
        }
        let path = Fixtures.path("opaque.png")
        #expect(try ImageDecoder(limits: exact).decode(path: path).width == 13)
        let short = ImageLimits(maxBytes: bytes.count - 1)
        #expect(throws: ImageError.tooManyBytes(name: path, limit: bytes.count - 1)) {
            try ImageDecoder(limits: short).decode(path: path)
        }
        #expect(throws: ImageError.tooManyBytes(name: "/dev/zero", limit: 1000)) {
            try ImageDecoder(limits: ImageLimits(maxBytes: 1000)).decode(path: "/dev/zero")
        }
    }

    @Test("a name with control characters stays on one line")
    func keepsOneLine() {
        let error = ImageError.unknownFormat(name: "a\nb\u{1B}[31m\u{2028}.png")
        #expect(!error.description.unicodeScalars.contains { $0.value < 32 || $0.value == 0x2028 })
    }

    @Test("a mutated file gives an error or a picture", arguments: ImageFormat.allCases)
    func survivesMutation(_ format: ImageFormat) throws {
        let suffix = ["PNG": ".png", "JPEG": ".jpg", "WebP": ".webp"][format.description]
        let names = Manifest.committed.cases.map(\.file).filter { file in
            suffix.map(file.hasSuffix) ?? false
        }
        let files = try names.map(Fixtures.bytes)
        try #require(!files.isEmpty)
        let decoder = ImageDecoder(limits: ImageLimits(maxPixels: 1 << 16, maxSide: 1 << 12))
        var generator = SeededGenerator(state: 20_261_123)
        var (pictures, errors) = (0, Set<String>())
        for round in 0..<2000 {
            let file = files[round % files.count]
            do {
                let image = try decoder.decode(mutated(file, &generator), name: "it")
                #expect(image.pixels.count == 3 * image.width * image.height)
                pictures += 1
            } catch {
                errors.insert(caseName(error))
            }
        }
        #expect(pictures > 20)
        #expect(errors.isSuperset(of: ["broken", "truncated", "unknownFormat"]), "\(errors)")
    }

    /// A file with one to three bytes changed, runs of them swapped, or its end cut.
    private func mutated(_ file: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
        var bytes = file
        for _ in 0...Int.random(in: 0..<3, using: &generator) where !bytes.isEmpty {
            // Half of the changes fall into the head, where the sizes stand.
            let reach = Bool.random(using: &generator) ? bytes.count : min(64, bytes.count)
            let at = Int.random(in: 0..<reach, using: &generator)
            switch Int.random(in: 0..<5, using: &generator) {
            case 0: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            case 1: bytes[at] = .random(in: .min ... .max, using: &generator)
            case 2: bytes[at] = 0xFF
            case 3: bytes.removeSubrange(at..<min(bytes.count, at + 5))
            default: bytes.removeLast(bytes.count - at)
            }
        }
        return bytes
    }

    @Test("a mutated PNG with right checksums gives an error or a picture")
    func survivesCheckedMutation() throws {
        let names = Manifest.committed.cases.map(\.file).filter { $0.hasSuffix(".png") }
        let files = try names.map(Fixtures.bytes).filter { $0.count < 4000 }
        let decoder = ImageDecoder(limits: ImageLimits(maxPixels: 1 << 16, maxSide: 1 << 12))
        var generator = SeededGenerator(state: 7)
        var (pictures, errors) = (0, 0)
        for round in 0..<2000 {
            var bytes = files[round % files.count]
            for _ in 0...Int.random(in: 0..<3, using: &generator) {
                let at = Int.random(in: 8..<bytes.count, using: &generator)
                bytes[at] = .random(in: .min ... .max, using: &generator)
            }
            repairChecksums(&bytes)
            do {
                let image = try decoder.decode(bytes, name: "it")
                #expect(image.pixels.count == 3 * image.width * image.height)
                pictures += 1
            } catch {
                errors += 1
            }
        }
        #expect(pictures > 20)
        #expect(errors > 20)
    }

    /// Writes right checksums behind the chunks that can be walked.
    private func repairChecksums(_ bytes: inout [UInt8]) {
        var at = 8
        while at + 12 <= bytes.count {
            let length = bytes[at..<at + 4].reduce(0) { $0 << 8 | Int($1) }
            guard at + 12 + length <= bytes.count else { return }
            var sum: UInt32 = .max
            for byte in bytes[at + 4..<at + 8 + length] {
                sum ^= UInt32(byte)
                for _ in 0..<8 {
                    sum = sum & 1 == 1 ? sum >> 1 ^ 0xEDB8_8320 : sum >> 1
                }
            }
            for index in 0..<4 {
                bytes[at + 8 + length + index] = UInt8(truncatingIfNeeded: ~sum >> (24 - 8 * index))
            }
            at += 12 + length
        }
    }
}
