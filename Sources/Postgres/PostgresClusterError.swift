/// Why the private cluster could not be made, started or stopped.
package enum PostgresClusterError: Error, Sendable, Hashable {
    /// No server programs were found in the folders looked at.
    case binariesMissing(searched: [String])
    /// The cluster was made by a major version whose programs are not installed.
    case majorVersionMismatch(folder: String, made: String, installed: [String])
    /// The account that the cluster is to run as does not exist.
    case systemUserMissing(String)
    /// A program that starting as another user needs does not exist.
    case toolMissing(path: String, package: String)
    /// A folder or file cannot be used.
    case unusable(path: String, reason: String)
    /// A program of PostgreSQL ended with an error.
    case programFailed(program: String, folder: String, output: String)
    /// The server ended while starting, or did not answer in time.
    case startFailed(folder: String, log: String, lastLine: String)
}

extension PostgresClusterError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .binariesMissing(let searched):
            """
            no PostgreSQL server programs in \(searched.joined(separator: ", ")): install the \
            package postgresql (Debian, Ubuntu: `apt-get install postgresql`), or name a database \
            with --database-url
            """
        case .majorVersionMismatch(let folder, let made, let installed):
            """
            the database in \(folder) was made by PostgreSQL \(made), installed is \
            \(installed.joined(separator: ", ")): install the package postgresql-\(made), or \
            move the data with pg_upgrade
            """
        case .systemUserMissing(let name):
            """
            PostgreSQL does not run as root and there is no user \(name) to run it as: create it \
            (`useradd --system \(name)`), or name a database with --database-url
            """
        case .toolMissing(let path, let package):
            "\(path) is missing: install the package \(package)"
        case .unusable(let path, let reason):
            "\(path): \(reason)"
        case .programFailed(let program, let folder, let output):
            "\(program) failed for the database in \(folder): \(output)"
        case .startFailed(let folder, let log, let lastLine):
            "PostgreSQL did not start in \(folder): \(lastLine) (more in \(log))"
        }
    }
}
