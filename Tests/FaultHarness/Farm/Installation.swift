import FoundationEssentials
import Glibc

/// What all runs of the harness share: the programs, the library, and a cluster to begin with.
struct Installation: Sendable {
    /// The folder of the programs under test, and of this one.
    let programs: String
    /// The folder of everything that the runs keep.
    let work: String
    /// The library that moves clocks and fills disks, where every account can read it.
    let library: String
    /// The clone that the starter model and the audit are in.
    let repository: String

    /// The cluster that runs begin with, its schema up to date.
    var template: String { "\(work)/template" }
    var model: String { "\(repository)/Models/starter/model" }

    /// Prepares a folder of work.
    init(programs: String, repository: String, work: String) async throws {
        self.programs = programs
        self.repository = repository
        self.work = work
        library = "\(work)/libfault-shim.so"
        for name in ["dreamfarm", "dreamfarm-coordinator", "dreamfarm-worker", "fault-harness"]
        where access("\(programs)/\(name)", X_OK) != 0 {
            throw HarnessError("\(programs)/\(name) is not there: build it, or give --binaries")
        }
        guard access("\(repository)/deploy/audit.sql", R_OK) == 0 else {
            throw HarnessError("\(repository) is no clone of dreamfarm: give --repository")
        }
        guard access("\(DatabaseServer.programs)/initdb", X_OK) == 0 else {
            throw HarnessError("PostgreSQL's server is not there: install postgresql")
        }
        // The account that runs PostgreSQL for root goes through it.
        try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: true)
        guard chmod(work, 0o711) == 0 else { throw HarnessError("\(work) is another account's") }
        try FileManager.default.copyItem(atPath: "\(programs)/libfault-shim.so", toPath: library)
        guard chmod(library, 0o755) == 0 else { throw HarnessError("\(library) cannot be made") }
    }

    /// Makes the cluster that runs begin with.
    func makeTemplate() async throws {
        try await DatabaseServer.make(in: template, library: library)
        let server = try DatabaseServer(folder: template, library: library)
        try await server.start()
        _ = try await ManagedProcess.run(
            "migrate",
            "\(programs)/dreamfarm-coordinator",
            ["migrate", "--data-dir", "\(work)/migrate", "--database-url", server.conninfo],
            folder: work
        )
        try await server.stop()
    }
}
