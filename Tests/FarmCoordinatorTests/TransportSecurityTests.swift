import FarmModel
import FoundationEssentials
import HTTPTransport
import TestSupport
import Testing

@testable import FarmCoordinator

/// Files of certificates and keys, made by `Fixtures/make-certificates`.
private enum Certificates {
    static func path(_ name: String) -> String {
        URL(filePath: #filePath).deletingLastPathComponent().path + "/Fixtures/\(name)"
    }

    /// What the coordinator of a test serves with.
    static func server(_ name: String = "server", asksWorkers: Bool = false) -> TLSFiles {
        TLSFiles(
            certificate: path("\(name).pem"),
            key: path("\(name).key"),
            clientAuthorities: asksWorkers ? path("farm.pem") : nil
        )
    }

    /// A client that believes an authority and shows a certificate.
    static func client(_ authority: String, showing name: String? = nil) -> HTTPClientTLS {
        HTTPClientTLS(
            authorities: path("\(authority).pem"),
            certificate: name.map { path("\($0).pem") },
            key: name.map { path("\($0).key") }
        )
    }
}

@Suite(.database, .timeLimit(.minutes(10))) struct TransportSecurityTests {
    @Test("over TLS a client that knows the authority is served, and another one leaves")
    func served() async throws {
        try await ServedFarm.run(tls: Certificates.server()) { farm, _ in
            let known = farm.trusting(Certificates.client("farm"))
            #expect(try await known.send("GET", "/v1/jobs").status == 200)
            for stranger in [farm, farm.trusting(Certificates.client("other"))] {
                let error = await #expect(throws: HTTPTransportError.self) {
                    _ = try await stranger.send("GET", "/v1/jobs")
                }
                guard case .untrusted? = error else {
                    Issue.record("\(String(describing: error))")
                    continue
                }
            }
            let session = try await known.send(
                "POST",
                "/v1/session",
                SessionRequest(token: known.token)
            )
            #expect(session.headers["set-cookie"]?.contains("Secure") == true)
        }
    }

    @Test("a certificate that is renewed holds for the next connection; a broken one does not")
    func renewed() async throws {
        try await withFolder { folder in
            let files = TLSFiles(certificate: folder + "/tls.pem", key: folder + "/tls.key")
            @Sendable func install(_ name: String) throws {
                for (ending, path) in [("pem", files.certificate), ("key", files.key)] {
                    let source = URL(filePath: Certificates.path("\(name).\(ending)"))
                    let data = try Data(contentsOf: source)
                    try data.write(to: URL(filePath: path), options: .atomic)
                }
            }
            try install("server")
            let certificate = try ServerCertificate(files)
            #expect(try !certificate.renew())
            try await ServedFarm.run(tls: files) { farm, _ in
                #expect(try await farm.trusting(Certificates.client("farm")).isServed())
                try Data("no certificate".utf8).write(to: URL(filePath: files.certificate))
                try await farm.log.wait { lines in
                    lines.contains { $0.message == "Certificate not renewed" }
                }
                #expect(try await farm.trusting(Certificates.client("farm")).isServed())
                try install("renewed")
                try await farm.log.wait { lines in
                    lines.contains { $0.message == "Certificate renewed" }
                }
                #expect(try await farm.trusting(Certificates.client("other")).isServed())
                #expect(try await !farm.trusting(Certificates.client("farm")).isServed())
            }
            #expect(try certificate.renew())
        }
    }

    @Test("where workers show certificates, one without is refused, and people are not asked")
    func mutual() async throws {
        try await ServedFarm.run(tls: Certificates.server(asksWorkers: true)) { farm, _ in
            let bare = farm.trusting(Certificates.client("farm"))
            #expect(try await bare.send("GET", "/v1/jobs").status == 200)
            let registration = RegistrationRequest(
                name: "w",
                instance: "w",
                model: TestFarm.model
            )
            let refused = try await bare.send("POST", "/v1/workers", registration)
            #expect(refused.status == 403)
            #expect(String(decoding: refused.body, as: UTF8.self).contains("--tls-certificate"))
            let token: TokenView = try await bare.call(
                "POST",
                "/v1/tokens",
                TokenRequest(owner: "fleet", role: .worker)
            )
            let blob = "/v1/blobs/\(BlobDigest(ofText: "a"))"
            #expect(try await bare.send("GET", blob, token: token.token).status == 403)

            let joining: TokenView = try await bare.call(
                "POST",
                "/v1/tokens",
                TokenRequest(owner: "fleet", role: .worker, join: .once)
            )
            var joiner = RegistrationRequest(name: "j", instance: "j", model: TestFarm.model)
            joiner.credential = BlobDigest(ofText: WorkerKey.random())
            let path = "/v1/workers"
            #expect(try await bare.send("POST", path, joiner, token: joining.token).status == 403)

            let shown = farm.trusting(Certificates.client("farm", showing: "worker"))
            #expect(try await shown.send("POST", path, joiner, token: joining.token).status == 201)
            #expect(try await shown.send("POST", path, registration).status == 201)
            #expect(try await shown.send("GET", blob, token: token.token).status == 404)

            let stranger = farm.trusting(Certificates.client("farm", showing: "stranger"))
            await #expect(throws: HTTPTransportError.self) {
                _ = try await stranger.send("GET", "/v1/jobs")
            }
        }
    }

    @Test("files that cannot be used are named")
    func files() throws {
        func error(_ change: (inout TLSFiles) -> Void) throws -> String? {
            var files = Certificates.server()
            change(&files)
            return #expect(throws: CoordinatorError.self) { _ = try ServerCertificate(files) }?
                .description
        }
        let other = Certificates.path("renewed.key")
        let mismatch = try error { $0.key = other }
        #expect(mismatch?.contains("is not the key of the certificate") == true)
        #expect(mismatch?.hasPrefix(other) == true)
        #expect(try error { $0.key = "/nowhere" }?.hasPrefix("/nowhere: ") == true)
        #expect(try error { $0.certificate = "/nowhere" }?.contains("No such file") == true)
        #expect(try error { $0.certificate = other }?.contains("no certificate in PEM") == true)
        #expect(try error { $0.clientAuthorities = "/nowhere" }?.contains("/nowhere") == true)
    }
}

extension ServedFarm {
    /// Whether the client gets an answer.
    fileprivate func isServed() async throws -> Bool {
        do {
            return try await send("GET", "/healthz").status == 200
        } catch is HTTPTransportError {
            return false
        }
    }
}

/// Lends a folder, and removes it.
private func withFolder(_ body: (String) async throws -> Void) async throws {
    let folder = FileManager.default.temporaryDirectory.path + "/tls-\(UUID())"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try await body(folder)
}
