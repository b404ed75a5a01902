import Glibc
import NIOCore
import NIOSSL
import Synchronization

/// Where a coordinator finds what it proves itself with, PEM files all.
package struct TLSFiles: Hashable, Sendable {
    /// The certificate and those between it and a known authority, its own first.
    package var certificate: String
    package var key: String
    /// The authorities whose certificates workers have to show; nil where none is asked for.
    package var clientAuthorities: String?

    package init(certificate: String, key: String, clientAuthorities: String? = nil) {
        self.certificate = certificate
        self.key = key
        self.clientAuthorities = clientAuthorities
    }
}

/// The certificate that a coordinator shows, which may be renewed while it serves.
///
/// Each connection gets the one that was read last; those that are open go on.
final class ServerCertificate: Sendable {
    private struct Identity {
        let chain: [NIOSSLCertificate]
        let key: NIOSSLPrivateKey
        /// What the files were when they were read.
        let stamps: [FileStamp]
    }

    private let files: TLSFiles
    private let authorities: [NIOSSLCertificate]?
    private let identity: Mutex<Identity>

    /// Reads the files.
    ///
    /// - Throws: ``CoordinatorError/certificate(path:reason:)`` for one that cannot be used.
    init(_ files: TLSFiles) throws(CoordinatorError) {
        self.files = files
        authorities =
            if let path = files.clientAuthorities { try Self.certificates(at: path) } else { nil }
        identity = Mutex(try Self.identity(from: files))
    }

    /// Whether workers have to show a certificate.
    var asksWorkers: Bool { authorities != nil }

    /// What a server is configured with: every connection gets the certificate that holds then.
    var configuration: TLSConfiguration {
        let now = identity.withLock { $0 }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: now.chain.map { .certificate($0) },
            privateKey: .privateKey(now.key)
        )
        configuration.minimumTLSVersion = .tlsv12
        configuration.sslContextCallback = { [self] _, promise in
            let now = identity.withLock { $0 }
            var current = NIOSSLContextConfigurationOverride()
            current.certificateChain = now.chain.map { .certificate($0) }
            current.privateKey = .privateKey(now.key)
            promise.succeed(current)
        }
        if let authorities {
            // People come without one; who needs one is told by the route.
            configuration.certificateVerification = .optionalVerification
            configuration.trustRoots = .certificates(authorities)
        }
        return configuration
    }

    /// Until when the certificate is good that connections get now, in seconds since 1970.
    var expiry: Int? { identity.withLock { $0.chain.first.map { Int($0.notValidAfter) } } }

    /// Reads the certificate and its key again if their files have changed.
    ///
    /// - Returns: Whether another certificate holds now.
    /// - Throws: ``CoordinatorError/certificate(path:reason:)``; the one before goes on to hold.
    func renew() throws(CoordinatorError) -> Bool {
        let stamps = [files.certificate, files.key].map(FileStamp.init(path:))
        guard identity.withLock({ $0.stamps }) != stamps else { return false }
        let found = try Self.identity(from: files)
        identity.withLock { $0 = found }
        return true
    }

    private static func identity(from files: TLSFiles) throws(CoordinatorError) -> Identity {
        // Before they are read, so that what changes meanwhile is read again.
        let stamps = [files.certificate, files.key].map(FileStamp.init(path:))
        let chain = try certificates(at: files.certificate)
        let key: NIOSSLPrivateKey
        do {
            key = try NIOSSLPrivateKey(file: files.key, format: .pem)
        } catch {
            throw .certificate(path: files.key, reason: "it is no private key in PEM")
        }
        do {
            _ = try NIOSSLContext(
                configuration: .makeServerConfiguration(
                    certificateChain: chain.map { .certificate($0) },
                    privateKey: .privateKey(key)
                )
            )
        } catch {
            throw .certificate(
                path: files.key,
                reason: "it is not the key of the certificate in \(files.certificate)"
            )
        }
        return Identity(chain: chain, key: key, stamps: stamps)
    }

    private static func certificates(
        at path: String
    ) throws(CoordinatorError) -> [NIOSSLCertificate] {
        guard access(path, R_OK) == 0 else {
            throw .certificate(path: path, reason: String(cString: strerror(errno)))
        }
        guard let found = try? NIOSSLCertificate.fromPEMFile(path), !found.isEmpty else {
            throw .certificate(path: path, reason: "it has no certificate in PEM")
        }
        return found
    }
}
