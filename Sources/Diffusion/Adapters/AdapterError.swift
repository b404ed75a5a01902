/// Why an adapter cannot be used; each says the file, the key and what to do.
package enum AdapterError: Error, Equatable, CustomStringConvertible {
    /// Keys that name no module of the model.
    case unmatchedKeys(file: String, keys: [String])
    /// Keys of a kind of adapter that is not a pair of low-rank matrices.
    case unsupportedForm(file: String, form: String, keys: [String])
    /// One half of a pair, or an alpha, without the rest.
    case missingPartner(file: String, stem: String, missing: String)
    /// The two halves of a pair disagree about its rank.
    case rankMismatch(file: String, stem: String, down: Int, up: Int)
    /// A matrix does not fit the module it is for.
    case shapeMismatch(file: String, key: String, side: String, found: Int, expected: Int)
    /// A half of a pair that is no matrix.
    case notAMatrix(file: String, key: String, shape: [Int])
    /// An alpha that is no finite number.
    case badAlpha(file: String, key: String)
    /// Two pairs of one file for the same rows of one module.
    case overlappingPairs(file: String, module: String, first: String, second: String)
    /// A file without any pair for the transformer.
    case noPairs(file: String, skipped: Int)
    /// A file that was asked for and is not there.
    case missingFile(path: String, wanted: String, remedy: String)
    /// One of DreamO's embedding tables is not in the file.
    case missingEmbedding(file: String, key: String)
    /// One of DreamO's embedding tables has another shape than the model needs.
    case embeddingShape(file: String, key: String, found: [Int], expected: String)
    /// Modules that an adapter changes and the model never read.
    case unusedTargets(modules: [String])
    /// A `--lora` value that is not `FILE` or `FILE:WEIGHT`.
    case badArgument(String)
    /// An adapter version that does not exist.
    case unknownVersion(String)
    /// A file that is no whole safetensors file, with what is wrong.
    case broken(problem: String)
    /// A file that the system could not read.
    case unreadable(path: String, reason: String)

    package var description: String {
        switch self {
        case .unmatchedKeys(let file, let keys):
            "\(file): \(Self.count(keys, "key")) no module of this model's transformer: "
                + "\(Self.list(keys)); is it an adapter for another model?"
        case .unsupportedForm(let file, let form, let keys):
            "\(file): \(form) is not supported (\(keys.count) "
                + "\(keys.count == 1 ? "key" : "keys"): \(Self.list(keys))); "
                + "convert it to a plain LoRA"
        case .missingPartner(let file, let stem, let missing):
            "\(file): \(stem) has no \(missing) matrix; the file is damaged or incomplete"
        case .rankMismatch(let file, let stem, let down, let up):
            "\(file): \(stem) has rank \(down) in its down matrix and \(up) in its up matrix; "
                + "the file is damaged"
        case .shapeMismatch(let file, let key, let side, let found, let expected):
            "\(file): \(key) has \(found) \(side), the model needs \(expected); "
                + "it was made for another model"
        case .notAMatrix(let file, let key, let shape):
            "\(file): \(key) has shape \(shape), not [rows, columns]; only pairs for Linear "
                + "layers can be merged"
        case .badAlpha(let file, let key):
            "\(file): \(key) is not one finite number; the file is damaged"
        case .overlappingPairs(let file, let module, let first, let second):
            "\(file): \(first) and \(second) are both for \(module); remove one of them"
        case .noPairs(let file, let skipped):
            skipped == 0
                ? "\(file): no LoRA pair found; give a safetensors file with down and up matrices"
                : "\(file): no pair for the transformer, only \(skipped) for text encoders; "
                    + "those take no adapters"
        case .missingFile(let path, let wanted, let remedy):
            "\(path): not found, but \(wanted) needs it; \(remedy)"
        case .missingEmbedding(let file, let key):
            "\(file): no tensor \(key); use DreamO's published dreamo.safetensors"
        case .embeddingShape(let file, let key, let found, let expected):
            "\(file): \(key) has shape \(found), the model needs \(expected); "
                + "it was made for another model"
        case .unusedTargets(let modules):
            "the adapters change \(modules.count) modules that the model lacks: "
                + "\(Self.list(modules)); use adapters made for this model"
        case .badArgument(let argument):
            "--lora \(argument): not FILE or FILE:WEIGHT with a finite weight"
        case .unknownVersion(let name):
            "--adapters \(name): no such version; use v1, v1.1 or none"
        case .broken(let problem): problem
        case .unreadable(let path, let reason):
            "\(path): cannot be read (\(reason)); check the path and its permissions"
        }
    }

    private static func count(_ keys: [String], _ noun: String) -> String {
        keys.count == 1 ? "1 \(noun) matches" : "\(keys.count) \(noun)s match"
    }

    private static func list(_ keys: [String]) -> String {
        let shown = keys.prefix(8).joined(separator: ", ")
        return keys.count > 8 ? shown + ", and \(keys.count - 8) more" : shown
    }
}
