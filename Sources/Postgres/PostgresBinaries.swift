import FoundationEssentials
import Glibc

/// The server programs of one installed version of PostgreSQL.
struct PostgresBinaries: Sendable, Hashable {
    /// The folder that holds `postgres`, `initdb` and `pg_ctl`.
    let folder: String

    /// The major version, such as `15`.
    let major: String

    func path(_ program: String) -> String { "\(folder)/\(program)" }

    /// Returns the newest programs, or those of the major version that made the cluster.
    ///
    /// - Parameters:
    ///   - major: The version in the cluster's `PG_VERSION`; nil for a cluster to be made.
    ///   - cluster: The cluster's folder, for the message.
    ///   - searched: The folders to look in.
    /// - Returns: The programs to use.
    /// - Throws: `binariesMissing` and `majorVersionMismatch`.
    static func find(
        major: String?,
        cluster: String,
        searched: [String]
    ) throws(PostgresClusterError) -> PostgresBinaries {
        let found = searched.compactMap(PostgresBinaries.init(folder:))
        guard let newest = found.max(by: { $0.major.versionNumber < $1.major.versionNumber }) else {
            throw .binariesMissing(searched: searched)
        }
        guard let major else { return newest }
        guard let match = found.first(where: { $0.major == major }) else {
            let installed = Set(found.map(\.major)).sorted()
            throw .majorVersionMismatch(folder: cluster, made: major, installed: installed)
        }
        return match
    }

    /// The folders where distributions put the server programs, then those of `PATH`.
    static var usualFolders: [String] {
        let root = "/usr/lib/postgresql"
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        let path = getenv("PATH").map { String(cString: $0) } ?? ""
        let packaged = versions.sorted { $0.versionNumber > $1.versionNumber }
            .map { "\(root)/\($0)/bin" }
        let onPath = path.split(separator: ":").map(String.init).filter { $0.hasPrefix("/") }
        return packaged.isEmpty && onPath.isEmpty ? ["\(root)/*/bin"] : packaged + onPath
    }

    private init?(folder: String) {
        let programs = ["postgres", "initdb", "pg_ctl"]
        guard programs.allSatisfy({ access("\(folder)/\($0)", X_OK) == 0 }) else { return nil }
        self.folder = folder
        guard let answer = try? ServerProcess.run("\(folder)/postgres", ["--version"], as: nil),
            answer.status == 0, let major = Self.major(in: answer.output)
        else { return nil }
        self.major = major
    }

    /// The major version that a program names, as in `postgres (PostgreSQL) 15.18 (Debian 15.18-0)`.
    static func major(in version: String) -> String? {
        version.split(whereSeparator: \.isWhitespace).first { $0.first?.isNumber == true }
            .flatMap { $0.split { !$0.isNumber }.first }.map(String.init)
    }
}

extension String {
    fileprivate var versionNumber: Double { Double(self) ?? 0 }
}
