import Tensors
import Testing

@Suite("Sets of safetensors files")
struct SafetensorsSetTests {
    let folder: SafetensorsTestFolder

    init() throws {
        folder = try SafetensorsTestFolder()
    }

    private func shard() throws {
        _ = try folder.write(vectors: [("a", [1, 2]), ("c", [5])], "m-1.safetensors")
        _ = try folder.write(vectors: [("b", [3, 4])], "m-2.safetensors")
    }

    private func index(_ map: String, _ name: String = "model") throws -> String {
        try folder.write(
            Array("{\"metadata\": {\"total_size\": 20}, \"weight_map\": \(map)}".utf8),
            "\(name).safetensors.index.json"
        )
    }

    @Test("shards read as the single file does")
    func shards() throws {
        try shard()
        _ = try index(
            #"{"a": "m-1.safetensors", "b": "m-2.safetensors", "c": "m-1.safetensors"}"#
        )
        let set = try SafetensorsSet(folder: folder.path)
        #expect(set.names == ["a", "b", "c"])
        #expect(try set.requiredFile("b").values(of: "b") == [3, 4])
        #expect(set.shape(of: "c") == [1])

        let whole = try folder.write(vectors: [("b", [3, 4]), ("c", [5]), ("a", [1, 2])], "one")
        let single = try SafetensorsSet(path: whole)
        #expect(single.names == set.names)
        for name in set.names {
            #expect(
                try single.requiredFile(name).values(of: name)
                    == set.requiredFile(name).values(of: name)
            )
        }
    }

    @Test("a missing shard and an index that lies are named")
    func lies() throws {
        try shard()
        let path = try index(#"{"a": "m-1.safetensors", "b": "m-3.safetensors"}"#)
        #expect(
            throws: SafetensorsError.missingShard(
                index: path,
                shard: "m-3.safetensors",
                tensor: "b"
            )
        ) { try SafetensorsSet(folder: folder.path) }
        _ = try index(#"{"a": "m-1.safetensors", "b": "m-1.safetensors"}"#)
        #expect(
            throws: SafetensorsError.notInShard(
                index: path,
                shard: "m-1.safetensors",
                tensor: "b"
            )
        ) { try SafetensorsSet(folder: folder.path) }
    }

    @Test(
        "an index that is none is refused",
        arguments: ["[]", "{}", "{\"a\": 3}", "{\"a\": \"../m-1.safetensors\"}", "{"]
    )
    func noIndex(map: String) throws {
        try shard()
        _ = try index(map)
        let error = #expect(throws: SafetensorsError.self) {
            try SafetensorsSet(folder: folder.path)
        }
        #expect(try #require(error).description.contains("model.safetensors.index.json"))
    }

    @Test("a folder without weights says which names were looked for")
    func empty() throws {
        let error = #expect(throws: SafetensorsError.self) {
            try SafetensorsSet(folder: folder.path)
        }
        #expect(try #require(error).description.contains("model.safetensors.index.json"))
    }

    @Test("the writer replaces a file only when it is finished")
    func writer() throws {
        let path = try folder.write(vectors: [("a", [1])], "w.safetensors")
        do {
            let abandoned = try SafetensorsWriter(
                path: path,
                tensors: [.init(name: "a", type: .float32, shape: [2])]
            )
            try [Float](repeating: 7, count: 1).withUnsafeBufferPointer {
                try abandoned.write($0, as: .float32)
            }
            #expect(try folder.names().count == 2)
        }
        #expect(try folder.names() == ["w.safetensors"])
        #expect(try SafetensorsFile(path: path).values(of: "a") == [1])

        let writer = try SafetensorsWriter(
            path: path,
            tensors: [.init(name: "é\"\\\n", type: .bfloat16, shape: [3])],
            metadata: ["k\t": "v\u{1}"]
        )
        try [1.003_906_25, -0.5, 3].withUnsafeBufferPointer { try writer.write($0, as: .bfloat16) }
        try writer.finish()
        let file = try SafetensorsFile(path: path)
        #expect(try file.values(of: "é\"\\\n") == [1, -0.5, 3])
        #expect(file.metadata == ["k\t": "v\u{1}"])
        #expect(try folder.names() == ["w.safetensors"])
    }

    @Test("a folder that is not there is one line and leaves nothing")
    func unwritable() throws {
        let tensors = [SafetensorsWriter.Tensor(name: "a", type: .float32, shape: [1])]
        let path = folder.path + "/none/w.safetensors"
        let error = #expect(throws: SafetensorsError.self) {
            try SafetensorsWriter(path: path, tensors: tensors)
        }
        #expect(try #require(error).description.hasPrefix("\(path): cannot be written"))
        #expect(try folder.names().isEmpty)
    }
}
