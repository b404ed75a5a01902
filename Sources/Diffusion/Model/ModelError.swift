/// What can be wrong with a model directory, each said in one line with its remedy.
package enum ModelError: Error, Equatable, CustomStringConvertible {
    /// A file or folder of the model is not there.
    case missing(path: String, what: String, remedy: String)
    /// A file or folder of the model is there and may not be read.
    case unreadable(path: String, reason: String)
    /// A configuration file cannot be read or lacks a key.
    case configuration(file: String, problem: String)
    /// Two statements of the model contradict each other.
    case contradiction(file: String, problem: String)
    /// A model cannot be written.
    case unwritable(path: String, reason: String)
    /// A model with packed weights is used in another way than it was packed for.
    case packed(path: String, problem: String, remedy: String)

    package var description: String {
        switch self {
        case .missing(let path, let what, let remedy):
            "\(path): \(what) is missing; \(remedy)"
        case .unreadable(let path, let reason):
            "\(path): cannot be read: \(reason); check its permissions"
        case .configuration(let file, let problem):
            "\(file) \(problem); take the file that was published with the weights"
        case .contradiction(let file, let problem):
            "\(file): \(problem); take all parts of the model from one place"
        case .unwritable(let path, let reason):
            "\(path): cannot be written: \(reason); choose another folder or free some space"
        case .packed(let path, let problem, let remedy):
            "\(path): \(problem); \(remedy)"
        }
    }
}
