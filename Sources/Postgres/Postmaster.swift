import FoundationEssentials
import Glibc

/// A running server as its `postmaster.pid` describes it.
struct Postmaster: Sendable, Hashable {
    let processID: Int32
    let socketFolder: String

    /// Reads the file of a data folder; nil when there is none, when it is cut short, and when its
    /// process is not a server of this folder (left behind by a crash, the number since reused).
    init?(dataFolder: String) {
        guard
            let text = try? String(contentsOfFile: "\(dataFolder)/postmaster.pid", encoding: .utf8)
        else { return nil }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count >= 5, let id = Int32(lines[0].trimming(while: \.isWhitespace)), id > 0,
            Self.isServer(id, of: dataFolder)
        else { return nil }
        processID = id
        socketFolder = String(lines[4])
    }

    init(processID: Int32, socketFolder: String) {
        self.processID = processID
        self.socketFolder = socketFolder
    }

    /// The connection string of a database of this server.
    func conninfo(database: String) -> String {
        let host = socketFolder.replacing("\\", with: "\\\\").replacing("'", with: "\\'")
        return """
            host='\(host)' port=\(ClusterSite.port) dbname=\(database) \
            user=\(ClusterSite.userName) connect_timeout=10
            """
    }

    /// Tells whether the process lives and works in the data folder, as servers do.
    ///
    /// Where a container keeps root from looking at the folders of other accounts' processes, the
    /// command line tells: anybody may read it, and it names the data folder.
    static func isServer(_ id: Int32, of dataFolder: String) -> Bool {
        guard let own = realpath(dataFolder, nil) else { return false }
        defer { free(own) }
        if let folder = realpath("/proc/\(id)/cwd", nil) {
            defer { free(folder) }
            return strcmp(folder, own) == 0
        }
        guard errno == EACCES || errno == EPERM else { return false }
        return namesFolder(commandLine: "/proc/\(id)/cmdline", [dataFolder, String(cString: own)])
    }

    /// Tells whether a command line is that of a server of one of the folders.
    static func namesFolder(commandLine path: String, _ folders: [String]) -> Bool {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return false }
        let words = text.split(separator: "\0", omittingEmptySubsequences: false)
        guard let program = words.first, let option = words.firstIndex(of: "-D"),
            option + 1 < words.count
        else { return false }
        return program.hasSuffix("postgres") && folders.contains(String(words[option + 1]))
    }
}

extension Substring {
    fileprivate func trimming(while predicate: (Character) -> Bool) -> Substring {
        let start = drop(while: predicate)
        guard let end = start.lastIndex(where: { !predicate($0) }) else { return "" }
        return start[...end]
    }
}
