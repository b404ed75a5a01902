import Foundation

/// The committed tokenizers and what the reference makes of the strings.
enum TokenizerFixtures {
    /// What `t5.json` holds: the same strings under several configurations.
    struct T5: Decodable {
        struct Variant: Decodable {
            let name: String
            let configuration: String
            let placeholders: Bool
            let vocabulary: Int
            let ids: [Encoding]
        }

        let length: Int
        let strings: [String]
        let variants: [Variant]
    }

    /// What `clip.json` holds.
    struct CLIP: Decodable {
        let length: Int
        let strings: [String]
        let ids: [Encoding]
    }

    /// The ids at the length, without padding, and the count of the whole text's ids.
    struct Encoding: Decodable {
        let ids: [Int]
        let wholeCount: Int

        init(from decoder: any Decoder) throws {
            var values = try decoder.unkeyedContainer()
            ids = try values.decode([Int].self)
            wholeCount = try values.decode(Int.self)
        }
    }

    /// Returns a file or folder under `Fixtures/tokenizers`.
    static func url(_ path: String) -> URL {
        Bundle.module.bundleURL.appending(path: "Fixtures/tokenizers/\(path)")
    }

    /// Returns the value of a JSON fixture.
    static func value<Value: Decodable>(_ type: Value.Type, _ path: String) throws -> Value {
        try JSONDecoder().decode(type, from: Data(contentsOf: url(path)))
    }

    /// Calls `body` with a copy of a tokenizer's folder after `change`, and removes the copy.
    static func withCopy<Result>(
        of folder: String,
        _ change: (URL) throws -> Void,
        _ body: (URL) throws -> Result
    ) throws -> Result {
        let copy = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        try FileManager.default.copyItem(at: url(folder), to: copy)
        defer { try? FileManager.default.removeItem(at: copy) }
        try change(copy)
        return try body(copy)
    }
}

extension URL {
    /// Writes text to a file of this folder.
    func write(_ text: String, to name: String) throws {
        try Data(text.utf8).write(to: appending(path: name))
    }
}
