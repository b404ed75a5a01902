import FoundationEssentials

/// The JSON files beside a tokenizer's vocabulary, read as `from_pretrained` reads them.
struct TokenizerFiles {
    /// A token found in the raw text, with what it swallows on its sides.
    struct AddedToken: Decodable {
        var content: String
        var lstrip: Bool?
        var rstrip: Bool?

        enum CodingKeys: String, CodingKey {
            case content, lstrip, rstrip
        }

        init(from decoder: any Decoder) throws {
            if let text = try? decoder.singleValueContainer().decode(String.self) {
                content = text
                return
            }
            let values = try decoder.container(keyedBy: CodingKeys.self)
            content = try values.decode(String.self, forKey: .content)
            lstrip = try values.decodeIfPresent(Bool.self, forKey: .lstrip)
            rstrip = try values.decodeIfPresent(Bool.self, forKey: .rstrip)
        }
    }

    /// `tokenizer_config.json`, the keys that decide ids.
    struct Configuration: Decodable {
        var tokenizerClass: String?
        var modelMaxLength: Double?
        var extraIDs: Int?
        var isLegacy: Bool?
        var addsPrefixSpace: Bool?
        var addedTokensDecoder: [String: AddedToken]?
        var names: SpecialTokenNames

        enum CodingKeys: String, CodingKey {
            case tokenizerClass = "tokenizer_class"
            case modelMaxLength = "model_max_length"
            case extraIDs = "extra_ids"
            case isLegacy = "legacy"
            case addsPrefixSpace = "add_prefix_space"
            case addedTokensDecoder = "added_tokens_decoder"
        }

        init(from decoder: any Decoder) throws {
            let values = try decoder.container(keyedBy: CodingKeys.self)
            tokenizerClass = try values.decodeIfPresent(String.self, forKey: .tokenizerClass)
            modelMaxLength = try values.decodeIfPresent(Double.self, forKey: .modelMaxLength)
            extraIDs = try values.decodeIfPresent(Int.self, forKey: .extraIDs)
            isLegacy = try values.decodeIfPresent(Bool.self, forKey: .isLegacy)
            addsPrefixSpace = try values.decodeIfPresent(Bool.self, forKey: .addsPrefixSpace)
            addedTokensDecoder = try values.decodeIfPresent(
                [String: AddedToken].self,
                forKey: .addedTokensDecoder
            )
            names = try SpecialTokenNames(from: decoder)
        }
    }

    /// The special tokens' texts, in `tokenizer_config.json` and `special_tokens_map.json` alike.
    struct SpecialTokenNames: Decodable {
        var begin: AddedToken?
        var end: AddedToken?
        var unknown: AddedToken?
        var padding: AddedToken?

        enum CodingKeys: String, CodingKey {
            case begin = "bos_token"
            case end = "eos_token"
            case unknown = "unk_token"
            case padding = "pad_token"
        }
    }

    let directory: URL
    let configuration: Configuration
    /// The special tokens that hold once both files are read.
    let names: SpecialTokenNames

    /// Reads the configuration and checks the tokenizer's class against `supported`.
    init(directory: URL, supported: [String]) throws(TokenizerError) {
        self.directory = directory
        let url = directory.appending(path: "tokenizer_config.json")
        configuration = try Self.decode(Configuration.self, at: url)
        let name = configuration.tokenizerClass ?? ""
        guard supported.contains(name) else {
            throw .unsupportedClass(
                path: url.path,
                name: name,
                supported: supported.joined(separator: ", ")
            )
        }
        names = try Self.specialTokenNames(directory: directory, configuration: configuration)
    }

    /// Returns the greatest length, or `fallback` where the file gives none or an absurd one.
    func modelMaxLength(fallback: Int) throws(TokenizerError) -> Int {
        guard let length = configuration.modelMaxLength, length < 1e9 else {
            return fallback
        }
        guard length >= 2, length.rounded() == length else {
            throw .invalidFile(
                path: directory.appending(path: "tokenizer_config.json").path,
                reason: "model_max_length \(length) is not a whole number of at least 2"
            )
        }
        return Int(length)
    }

    /// Returns the bytes of a file.
    static func contents(of url: URL) throws(TokenizerError) -> Data {
        guard FileManager.default.fileExists(atPath: url.path) else {
            throw .missingFile(
                path: url.path,
                remedy: "copy it from the model's published \(url.folderName) folder"
            )
        }
        do {
            return try Data(contentsOf: url)
        } catch {
            throw .invalidFile(path: url.path, reason: "cannot be read")
        }
    }

    /// Returns a JSON file's value.
    static func decode<Value: Decodable>(
        _ type: Value.Type,
        at url: URL
    ) throws(TokenizerError) -> Value {
        let data = try contents(of: url)
        do {
            return try JSONDecoder().decode(type, from: data)
        } catch let DecodingError.typeMismatch(expected, context) {
            let key = context.codingPath.map(\.stringValue).joined(separator: ".")
            throw .invalidFile(path: url.path, reason: "key \"\(key)\" is not a \(expected)")
        } catch {
            throw .invalidFile(path: url.path, reason: "is not the JSON of a tokenizer")
        }
    }

    /// Returns the tokens of the configuration, which `special_tokens_map.json` overrides unless
    /// the configuration lists its added tokens.
    private static func specialTokenNames(
        directory: URL,
        configuration: Configuration
    ) throws(TokenizerError) -> SpecialTokenNames {
        let url = directory.appending(path: "special_tokens_map.json")
        guard
            configuration.addedTokensDecoder == nil,
            FileManager.default.fileExists(atPath: url.path)
        else {
            return configuration.names
        }
        let map = try decode(SpecialTokenNames.self, at: url)
        return SpecialTokenNames(
            begin: map.begin ?? configuration.names.begin,
            end: map.end ?? configuration.names.end,
            unknown: map.unknown ?? configuration.names.unknown,
            padding: map.padding ?? configuration.names.padding
        )
    }
}

extension URL {
    fileprivate var folderName: String { deletingLastPathComponent().lastPathComponent }
}
