/// Why a tokenizer cannot be loaded; each description is one line with the file and the remedy.
package enum TokenizerError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A file of the tokenizer is not there.
    case missingFile(path: String, remedy: String)
    /// A file is there and is not what it should be.
    case invalidFile(path: String, reason: String)
    /// The tokenizer is of a class that this engine does not know.
    case unsupportedClass(path: String, name: String, supported: String)

    package var description: String {
        switch self {
        case .missingFile(let path, let remedy):
            "\(path): no such file; \(remedy)"
        case .invalidFile(let path, let reason):
            "\(path): \(reason); copy the file again from the published model"
        case .unsupportedClass(let path, let name, let supported):
            "\(path): tokenizer_class \"\(name)\" is not supported; use a model whose tokenizer "
                + "is one of \(supported)"
        }
    }
}
