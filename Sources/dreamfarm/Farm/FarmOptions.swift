import ArgumentParser
import FarmClient
import FarmModel
import FoundationEssentials
import Glibc
import HTTPTransport

/// The options that every command shares which talks to a coordinator.
struct FarmOptions: ParsableArguments {
    @Option(help: "The coordinator's address (environment: DREAMFARM_COORDINATOR).")
    var coordinator: String?

    @Option(help: "The token to show (environment: DREAMFARM_TOKEN).")
    var token: String?

    @Option(help: "The coordinator's data folder, where its token lies.")
    var dataDir: String?

    @Option(
        help: """
            The authority that signed the coordinator's certificate, PEM; the system's when left out \
            (environment: DREAMFARM_TLS_CA).
            """
    )
    var tlsCA: String?

    @Option(name: [.customShort("o"), .long], help: "How to print: text or json.")
    var format: OutputFormat = .text

    /// A client of the coordinator that the options name.
    ///
    /// - Parameter retry: How often it tries to reach the coordinator.
    /// - Returns: The client, which has reached nobody yet.
    /// - Throws: ``FarmClientError`` when there is no token.
    func client(retry: RetryPolicy = .standard) throws -> CoordinatorClient {
        let environment = ProcessInfo.processInfo.environment
        return try CoordinatorClient(
            coordinator: coordinator,
            token: token,
            dataDirectory: FarmSettings.dataDirectory(
                dataDir,
                environment: environment,
                isRoot: geteuid() == 0
            ),
            tls: HTTPClientTLS(authorities: tlsCA ?? environment["DREAMFARM_TLS_CA"]),
            environment: environment,
            retry: retry
        )
    }
}

/// How a command prints what it found.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case text
    case json
}

/// Writes lines to standard error, where messages go.
enum StandardError {
    static var isTerminal: Bool { isatty(STDERR_FILENO) == 1 }

    static func write(_ text: String) {
        FileHandleText.write(text, to: STDERR_FILENO)
    }
}

/// Writes text to a descriptor without buffering.
enum FileHandleText {
    static func write(_ text: String, to descriptor: Int32) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let length = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard length > 0 else { return }
            bytes = bytes.dropFirst(length)
        }
    }
}
