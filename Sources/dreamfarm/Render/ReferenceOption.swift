import Diffusion

/// A reference on the command line: `FILE:TASK[:SLOT]`.
struct ReferenceOption: Equatable {
    let path: String
    let task: Condition.Task
    /// Its placeholder's number; nil for its position.
    let slot: Int?

    enum ParseError: Error, Equatable, CustomStringConvertible {
        case form(String)

        var description: String {
            switch self {
            case .form(let argument):
                "--reference \(argument) is not FILE:TASK[:SLOT]: end it with :ip, :id or :style,"
                    + " and a slot from 1 to 9 if it is not its position"
            }
        }
    }

    /// Reads the argument from its end, since a path may hold colons itself.
    init(_ argument: String) throws(ParseError) {
        var parts = argument.split(separator: ":", omittingEmptySubsequences: false)
        var slot: Int?
        if parts.count > 2, let number = parts.last.flatMap({ Int($0) }) {
            slot = number
            parts.removeLast()
        }
        guard parts.count > 1, let task = parts.last.flatMap({ Condition.Task(rawValue: "\($0)") }),
            case let path = parts.dropLast().joined(separator: ":"), !path.isEmpty
        else { throw .form(argument) }
        self.path = path
        self.task = task
        self.slot = slot
    }
}
