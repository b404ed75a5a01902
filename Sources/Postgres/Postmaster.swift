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
    static func isServer(_ id: Int32, of dataFolder: String) -> Bool {
        guard let own = realpath(dataFolder, nil) else { return false }
        defer { free(own) }
        let folder = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(id)/cwd")
        return folder == String(cString: own)
    }
}

extension Substring {
    fileprivate func trimming(while predicate: (Character) -> Bool) -> Substring {
        let start = drop(while: predicate)
        guard let end = start.lastIndex(where: { !predicate($0) }) else { return "" }
        return start[...end]
    }
}
