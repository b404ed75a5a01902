import Tensors
import Testing

@Suite("A safetensors file")
struct SafetensorsFileTests {
    let folder: SafetensorsTestFolder

    init() throws {
        folder = try SafetensorsTestFolder()
    }

    @Test("reads every type as the library that wrote it")
    func pythonFile() throws {
        let file = try SafetensorsFile(path: folder.write(SafetensorsFixtures.file))
        #expect(file.metadata == ["format": "pt"])
        #expect(file.names.count == SafetensorsFixtures.values.count)
        for (name, shape, values) in SafetensorsFixtures.values {
            #expect(file.shape(of: name) == shape)
            #expect(try file.values(of: name) == values, "\(name)")
        }
    }

    @Test(
        "multiplies the scale beside an eight-bit weight, and no other",
        arguments: ["scale_weight", "weight_scale"]
    )
    func scaleWeight(suffix: String) throws {
        let path = try folder.write(
            header: """
                {"x.weight":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]},\
                "x.\(suffix)":{"dtype":"F32","shape":[],"data_offsets":[2,6]},\
                "scaled_fp8":{"dtype":"F8_E4M3","shape":[0],"data_offsets":[6,6]},\
                "y.weight":{"dtype":"BF16","shape":[1],"data_offsets":[6,8]},\
                "y.\(suffix)":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}
                """,
            data: [0x38, 0xC0, 0, 0, 0, 0x3F, 0x80, 0x3F, 0, 0, 0, 0x3F]
        )
        let file = try SafetensorsFile(path: path)
        #expect(try file.values(of: "x.weight") == [0.5, -1])
        #expect(try file.values(of: "y.weight") == [1])
    }

    @Test("refuses a scale of more than one value", arguments: ["scale_weight", "weight_scale"])
    func manyScales(suffix: String) throws {
        let path = try folder.write(
            header: """
                {"x.weight":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]},\
                "x.\(suffix)":{"dtype":"F32","shape":[2],"data_offsets":[2,10]}}
                """,
            data: [UInt8](repeating: 0, count: 10)
        )
        let file = try SafetensorsFile(path: path)
        let error = #expect(throws: SafetensorsError.self) { try file.values(of: "x.weight") }
        #expect(try #require(error).description.contains("x.\(suffix)"))
    }

    @Test("reads a range of values across the pieces of a large tensor")
    func ranges() throws {
        let values = (0..<(3 << 20)).map { Float($0 % 8191) }
        let path = try folder.write(vectors: [("v", [7]), ("w", values)], "w.safetensors")
        let file = try SafetensorsFile(path: path)
        #expect(try file.values(of: "w") == values)
        let range = 1_048_570..<2_097_160
        var part = [Float](repeating: 0, count: range.count)
        try part.withUnsafeMutableBufferPointer {
            try file.read("w", elements: range, into: $0)
        }
        #expect(part == Array(values[range]))
    }

    @Test("names file, tensor and index of a value that is not finite")
    func notFinite() throws {
        let path = try folder.write(vectors: [("w", [1, 2, .nan, 4])], "w.safetensors")
        let file = try SafetensorsFile(path: path)
        let error = #expect(throws: SafetensorsError.self) { try file.values(of: "w") }
        let text = try #require(error).description
        #expect(text.contains("w.safetensors: 'w' holds nan at index 2"))
    }

    @Test("says both shapes, a missing tensor's name and a type that is no weight's")
    func refusals() throws {
        let path = try folder.write(
            header: """
                {"w":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},\
                "odd":{"dtype":"F4_X","shape":[2],"data_offsets":[8,9]}}
                """,
            data: [UInt8](repeating: 0, count: 9)
        )
        let file = try SafetensorsFile(path: path)
        var room = [Float](repeating: 0, count: 2)
        try room.withUnsafeMutableBufferPointer { buffer in
            #expect(
                throws: SafetensorsError.shape(
                    file: path,
                    tensor: "w",
                    holds: [2, 1],
                    wanted: [1, 2]
                )
            ) { try file.read("w", shape: [1, 2], into: buffer) }
            #expect(throws: SafetensorsError.missing(file: path, tensor: "v")) {
                try file.read("v", shape: [2], into: buffer)
            }
            try file.read("w", shape: [2, 1], into: buffer)
        }
        #expect(throws: SafetensorsError.type(file: path, tensor: "odd", type: "F4_X")) {
            try file.values(of: "odd")
        }
    }

    @Test(
        "refuses a header that lies, in one line that names the file",
        arguments: [
            (#"{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#, "holds"),
            (#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, "accounts for"),
            (#"{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, "takes 12"),
            (#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#, "data_offsets"),
            (#"{"w":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}"#, "gap"),
            (
                #"{"v":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"#
                    + #""w":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}"#, "overlaps"
            ),
            (
                #"{"w":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}"#,
                "no file can hold"
            ),
            (
                #"{"w":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,8]}}"#,
                "too large"
            ),
            (
                #"{"w":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"#
                    + #""w":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}"#, "twice"
            ),
            (#"{"w":{"dtype":"U8","shape":[-8],"data_offsets":[0,8]}}"#, "count is expected"),
            (#"{"w":{"dtype":"U8","shape":[8]}}"#, "lacks"),
            (#"{"w":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}"#, "'}' is expected"),
            (#"{"w":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}} x"#, "follows"),
            (#"{"\ud800":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}"#, "surrogate"),
            ("[]", "'{' is expected"),
            ("", "'{' is expected"),
        ]
    )
    func lies(header: String, problem: String) throws {
        let path = try folder.write(header: header, data: [UInt8](repeating: 0, count: 8))
        let error = #expect(throws: SafetensorsError.self) { try SafetensorsFile(path: path) }
        let text = try #require(error).description
        #expect(text.contains(problem), "\(text)")
        #expect(text.hasPrefix(path))
        #expect(!text.contains("\n"))
    }

    @Test("refuses what is cut at every length, missing, a folder, or a huge header length")
    func cut() throws {
        let whole = SafetensorsFixtures.file
        for length in 0..<whole.count {
            let path = try folder.write(Array(whole[..<length]))
            #expect(throws: SafetensorsError.self) { try SafetensorsFile(path: path) }
        }
        let short = try folder.write(Array(whole.dropLast(3)))
        #expect(
            throws: SafetensorsError.truncated(
                file: short,
                holds: whole.count - 3,
                promises: whole.count
            )
        ) { try SafetensorsFile(path: short) }
        #expect(throws: SafetensorsError.self) { try SafetensorsFile(path: folder.path + "/no") }
        #expect(throws: SafetensorsError.self) { try SafetensorsFile(path: folder.path) }
        let huge = try folder.write([UInt8](repeating: 0xFF, count: 64))
        let error = #expect(throws: SafetensorsError.self) { try SafetensorsFile(path: huge) }
        #expect(try #require(error).description.contains("the limit is 100000000"))
    }
}
