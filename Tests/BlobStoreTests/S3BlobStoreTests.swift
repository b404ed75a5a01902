import FarmModel
import FoundationEssentials
import HTTPTransport
import HTTPTypes
import Synchronization
import Testing

@testable import BlobStore

/// What only an S3 store has to do.
@Suite struct S3BlobStoreTests {
    private func withStore(
        _ server: S3Server = S3Server(),
        change: @escaping @Sendable (inout S3Configuration) -> Void = { _ in },
        _ body: @escaping @Sendable (S3BlobStore) async throws -> Void
    ) async throws {
        try await server.serve { configuration in
            var configuration = configuration
            change(&configuration)
            try await body(S3BlobStore(configuration, retry: S3Server.quick))
        }
    }

    /// The failure that `body` throws.
    private func failure(_ body: () async throws -> Void) async -> S3Failure? {
        let error = await #expect(throws: BlobStoreError.self) { try await body() }
        guard case .s3(let failure) = error else {
            Issue.record("\(String(describing: error))")
            return nil
        }
        return failure
    }

    private func isEmpty(_ server: S3Server) -> Bool {
        server.state.withLock { $0.objects.isEmpty && $0.uploads.isEmpty }
    }

    // MARK: - Requests

    @Test("a blob of one part is one request, a longer one as many as it has parts and two more")
    func parts() async throws {
        let server = S3Server()
        try await withStore(server) { store in
            let part = 1 << 16
            for (size, parts) in [(part, 0), (part + 1, 2), (3 * part, 3), (3 * part + 1, 4)] {
                let before = server.count(of: "UploadPart")
                let data = pattern(size)
                let digest = try await store.store(data, expecting: BlobDigest(of: data)).digest
                #expect(server.count(of: "UploadPart") - before == parts)
                #expect(try await store.read(digest) == data)
            }
            #expect(server.count(of: "PutObject") == 1)
            #expect(server.count(of: "CopyObject") == 0)
            let unknown = try await store.store(pattern(2 * part + 7))
            #expect(server.count(of: "CopyObject") == 1)
            #expect(try await store.read(unknown.digest) == pattern(2 * part + 7))
            #expect(server.state.withLock { $0.objects.count } == 5)
        }
    }

    @Test("an object that is too large to be copied whole is copied onto itself in parts")
    func copyInParts() async throws {
        let server = S3Server()
        try await withStore(server) { store in
            let data = pattern(100_000)
            let digest = try await store.store(data).digest
            let key = store.key(of: digest)
            let before = server.state.withLock { state in
                state.objects[key]?.storedAt = .distantPast
                return state.objects.count
            }
            try await store.copyInParts(key, size: 100_000)
            #expect(server.count(of: "UploadPartCopy") == 1)
            #expect(server.state.withLock { $0.objects.count } == before)
            #expect(server.state.withLock { $0.uploads.isEmpty })
            for try await entry in store.entries() { #expect(entry.storedAt > .distantPast) }
            #expect(try await store.read(digest) == data)
            server.fail("UploadPartCopy", .refusal(.forbidden, code: "AccessDenied"))
            #expect(await failure { try await store.copyInParts(key, size: 100_000) } != nil)
            #expect(server.state.withLock { $0.uploads.isEmpty })
        }
    }

    @Test("a session's token is sent and signed")
    func sessionToken() async throws {
        try await withStore(S3Server(sessionToken: "a/token+=")) {
            $0.sessionToken = "a/token+="
        } _: { store in
            let digest = try await store.store(Data("abc".utf8)).digest
            #expect(try await store.read(digest) == Data("abc".utf8))
        }
    }

    @Test("an empty prefix puts blobs at the root of the bucket")
    func emptyPrefix() async throws {
        let server = S3Server()
        try await withStore(server) {
            $0.prefix = ""
        } _: { store in
            let digest = try await store.store(Data("abc".utf8)).digest
            let text = digest.rawValue
            let key = "\(text.prefix(2))/\(text.dropFirst(2).prefix(2))/\(text)"
            #expect(server.state.withLock { Array($0.objects.keys) } == [key])
            var listed: [BlobDigest] = []
            for try await entry in store.entries() { listed.append(entry.digest) }
            #expect(listed == [digest])
        }
    }

    // MARK: - Refusals

    @Test("a wrong secret is named with its variable, the bucket and the key")
    func wrongSecret() async throws {
        try await withStore {
            $0.secretKey = "wrong"
        } _: { store in
            let failure = await failure { try await store.store(Data("abc".utf8)) }
            #expect(failure?.code == "SignatureDoesNotMatch")
            #expect(failure?.status == 403)
            let text = failure?.description ?? ""
            for part in [S3Server.bucket, "PutObject", "AWS_SECRET_ACCESS_KEY", "ba7816bf"] {
                #expect(text.contains(part), "\(text)")
            }
        }
    }

    @Test("a wrong region and a wrong bucket are named with the remedy")
    func wrongPlace() async throws {
        try await withStore {
            $0.region = "elsewhere-1"
        } _: { store in
            let failure = await failure { _ = try await store.probe(expecting: nil) }
            #expect(failure?.code == "AuthorizationHeaderMalformed")
            #expect(failure?.description.contains("AWS_REGION") == true)
        }
        try await withStore {
            $0.bucket = "another-bucket"
        } _: { store in
            let failure = await failure { _ = try await store.probe(expecting: nil) }
            #expect(failure?.code == "NoSuchBucket")
            #expect(failure?.description.contains("s3://another-bucket/") == true)
            #expect(failure?.description.contains("create the bucket") == true)
        }
    }

    @Test("no server at the endpoint is said so")
    func noServer() async throws {
        let store = S3BlobStore(
            S3Configuration(
                bucket: "farm",
                prefix: "",
                endpoint: "http://127.0.0.1:1",
                region: "x",
                accessKey: "a",
                secretKey: "s"
            ),
            retry: S3Server.quick
        )
        let failure = await failure { _ = try await store.identifier() }
        #expect(failure?.status == nil)
        #expect(failure?.description.contains("cannot reach http://127.0.0.1:1") == true)
    }

    // MARK: - Faults

    @Test(
        "an operation that S3 was too busy for is done at a later try",
        arguments: [
            "PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload",
            "CopyObject", "GetObject", "DeleteObject", "ListObjectsV2", "ListMultipartUploads",
        ],
        [S3Server.Fault.refusal(.serviceUnavailable, code: "SlowDown"), .cut]
    )
    func busy(operation: String, fault: S3Server.Fault) async throws {
        let server = S3Server()
        try await withStore(server) { store in
            server.fail(operation, fault, fault)
            let small = try await store.store(pattern(1000)).digest
            let large = try await store.store(pattern(150_000)).digest
            #expect(try await store.read(small) == pattern(1000))
            #expect(try await store.read(large) == pattern(150_000))
            var count = 0
            for try await _ in store.entries() { count += 1 }
            #expect(count == 2)
            // Nobody learns the id of an upload whose first answer was lost.
            let isLost =
                if case .cut = fault { operation == "CreateMultipartUpload" } else { false }
            let abandoned = try await store.removeAbandoned(olderThan: .seconds(-10))
            #expect(abandoned == (isLost ? 2 : 0))
            try await store.remove(small)
            #expect(try await !store.contains(small))
            #expect(server.state.withLock { $0.faults[operation]?.isEmpty } == true)
            #expect(server.state.withLock { $0.objects.count } == 1)
        }
    }

    @Test("a long read goes on where its connection broke")
    func resumedRead() async throws {
        let server = S3Server()
        try await withStore(server) { store in
            let data = pattern(3_000_000)
            let digest = try await store.store(data).digest
            server.fail("GetObject", .cut, .cut, .cut)
            #expect(try await store.read(digest) == data)
            #expect(server.count(of: "GetObject") == 4)
        }
    }

    @Test("a part that the store has differently fails the blob, and nothing is left")
    func wrongTag() async throws {
        let server = S3Server()
        try await withStore(server) { store in
            server.fail("UploadPart", .wrongTag)
            let data = pattern(150_000)
            let failure = await failure {
                try await store.store(data, expecting: BlobDigest(of: data))
            }
            #expect(failure?.code == "InvalidPart")
            #expect(isEmpty(server))
        }
    }

    @Test("an error in an answer of status 200 is an error, and a passing one is tried again")
    func errorInSuccess() async throws {
        let server = S3Server()
        try await withStore(server) { store in
            server.fail("CompleteMultipartUpload", .errorInSuccess(code: "InternalError"))
            server.fail("CopyObject", .errorInSuccess(code: "SlowDown"))
            let stored = try await store.store(pattern(150_000))
            #expect(try await store.read(stored.digest) == pattern(150_000))
            server.fail("CompleteMultipartUpload", .errorInSuccess(code: "EntityTooSmall"))
            let failure = await failure { _ = try await store.store(pattern(160_000)) }
            #expect(failure?.code == "EntityTooSmall")
            #expect(server.state.withLock { $0.objects.count } == 1)
            #expect(server.state.withLock { $0.uploads.isEmpty })
        }
    }

    @Test("S3 that stays busy is an error after the last try")
    func alwaysBusy() async throws {
        let server = S3Server()
        try await withStore(server) { store in
            for _ in 0..<100 {
                server.fail("PutObject", .refusal(.serviceUnavailable, code: "SlowDown"))
            }
            let failure = await failure { try await store.store(Data("abc".utf8)) }
            #expect(failure?.code == "SlowDown")
            #expect(server.count(of: "PutObject") <= 16)
            #expect(isEmpty(server))
        }
    }

    @Test("an object with other bytes is found damaged")
    func damage() async throws {
        let server = S3Server()
        try await withStore(server) { store in
            let digest = try await store.store(pattern(100_000)).digest
            server.state.withLock { state in
                for key in state.objects.keys { state.objects[key]?.data[500] ^= 1 }
            }
            let error = await #expect(throws: BlobStoreError.self) { try await store.read(digest) }
            guard case .damaged(let place) = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(place.hasPrefix("s3://\(S3Server.bucket)/"))
        }
    }
}
