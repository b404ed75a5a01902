import FarmClient
import FarmModel
import FoundationEssentials
import Glibc
import HTTPTransport

/// A coordinator with a database of its own, started for a simulation in a folder of its own.
struct SimulatedFarm {
    /// The folder; everything of the farm lies in it.
    let folder: String
    let address: String
    /// What the simulated workers send with.
    private let crowded = HTTPClient()
    /// What everything else sends with, so that it does not stand in line behind thousands.
    private let quiet = HTTPClient()
    private let program: String
    private let coordinator: ChildProcess

    /// Starts a coordinator and waits until it answers.
    ///
    /// - Parameters:
    ///   - folder: Where to keep everything; it must be empty or not there.
    ///   - lease: How long leases last.
    ///   - heartbeat: How often workers are heard of.
    ///   - auditShare: The share of pictures that are audited.
    ///   - interruption: What ends the wait; the coordinator is ended then, too.
    /// - Throws: ``SimulationError`` when it does not get ready.
    init(
        folder: String,
        lease: Duration,
        heartbeat: Duration,
        auditShare: String,
        interruption: Interruption
    ) async throws {
        self.folder = folder
        try FileManager.default.createDirectory(
            atPath: folder,
            withIntermediateDirectories: true
        )
        program = try Self.program(named: "dreamfarm-coordinator")
        let port = try Self.freePort()
        address = "http://127.0.0.1:\(port)"
        coordinator = try ChildProcess(
            program,
            [
                "serve", "--data-dir", folder, "--listen", "127.0.0.1:\(port)",
                "--lease", "\(lease.components.seconds)s",
                "--heartbeat", "\(heartbeat.components.seconds)s",
                "--audit-share", auditShare,
            ],
            log: "\(folder)/coordinator.log"
        )
        do {
            try await waitUntilReady(interruption)
        } catch {
            coordinator.stop()
            throw error
        }
    }

    /// How many bytes of memory the coordinator holds.
    var residentBytes: Int64 { coordinator.residentBytes ?? 0 }

    /// A client with the token, or with the admin's.
    func client(token: String? = nil) throws -> CoordinatorClient {
        try client(token: token, over: quiet)
    }

    /// A client for simulated workers.
    func fleetClient() throws -> CoordinatorClient {
        try client(token: nil, over: crowded)
    }

    private func client(
        token: String?,
        over transport: HTTPClient
    ) throws -> CoordinatorClient {
        CoordinatorClient(
            coordinator: address,
            token: try token ?? CoordinatorClient.localToken(in: folder),
            transport: transport
        )
    }

    /// Ends the coordinator and its database.
    func stop() {
        coordinator.stop()
    }

    /// Audits the database, the coordinator having ended.
    ///
    /// - Returns: Whether nothing is wrong, and what was said.
    func audit() throws -> (isClean: Bool, text: String) {
        let audit = try ChildProcess(
            program,
            ["audit", "--data-dir", folder],
            log: "\(folder)/audit.log"
        )
        while audit.isRunning { usleep(100_000) }
        return (audit.stop() == 0, audit.lastLines)
    }

    private func waitUntilReady(_ interruption: Interruption) async throws {
        let deadline = ContinuousClock.now + .seconds(90)
        while ContinuousClock.now < deadline, coordinator.isRunning {
            try interruption.check()
            if let client = try? client(), (try? await client.farm()) != nil { return }
            try await Task.sleep(for: .milliseconds(200))
        }
        throw SimulationError.notReady(coordinator.lastLines)
    }

    /// A program that lies beside this one.
    private static func program(named name: String) throws -> String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let length = readlink("/proc/self/exe", &buffer, buffer.count)
        let own = String(decoding: buffer.prefix(max(0, length)).map(UInt8.init), as: UTF8.self)
        let path =
            own.split(separator: "/", omittingEmptySubsequences: false).dropLast()
            .joined(separator: "/") + "/\(name)"
        guard access(path, X_OK) == 0 else { throw SimulationError.noProgram(path) }
        return path
    }

    /// A port of this machine that nothing listens at now.
    private static func freePort() throws -> UInt16 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        inet_pton(AF_INET, "127.0.0.1", &address.sin_addr)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                let status = bind(descriptor, generic, size)
                return status == 0 ? getsockname(descriptor, generic, &size) : status
            }
        }
        guard status == 0 else { throw SimulationError.noPort }
        return UInt16(bigEndian: address.sin_port)
    }
}

/// Why a simulation cannot run.
enum SimulationError: Error, CustomStringConvertible {
    case noProgram(String)
    case noPort
    case notReady(String)
    case folderInUse(String)

    var description: String {
        switch self {
        case .noProgram(let path): "\(path) is not there: build it beside this command"
        case .noPort: "no port of 127.0.0.1 is free"
        case .notReady(let log): "the coordinator did not get ready; it said:\n\(log)"
        case .folderInUse(let path): "\(path) has files in it; give an empty folder"
        }
    }
}
