import BlobStore
import FoundationEssentials
import Testing

@Suite struct BlobLocationTests {
    @Test("a path is a folder, an address a bucket and a prefix")
    func settings() throws {
        #expect(try BlobLocation("/srv/blobs") == .folder("/srv/blobs"))
        #expect(try BlobLocation("blobs") == .folder("blobs"))
        #expect(try BlobLocation("s3://farm") == .s3(bucket: "farm", prefix: ""))
        #expect(try BlobLocation("s3://farm/a//b/") == .s3(bucket: "farm", prefix: "a/b"))
    }

    @Test(
        "what names no store is refused",
        arguments: ["", "s3://", "s3:///x", "s3://No/x", "s3://a", "http://x", "s3://farm/../x"]
    )
    func refused(setting: String) {
        let error = #expect(throws: BlobStoreError.self) { try BlobLocation(setting) }
        #expect(error?.description.hasPrefix("blob-store '\(setting)'") == true)
    }

    @Test("the usual variables of the environment are read")
    func environment() throws {
        var environment = [
            "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "",
            "AWS_DEFAULT_REGION": "eu-north-1", "AWS_ENDPOINT_URL": "http://any:1/",
        ]
        let first = try S3Configuration(bucket: "farm", prefix: "p", environment: environment)
        #expect(first.accessKey == "id")
        #expect(first.secretKey == "secret")
        #expect(first.region == "eu-north-1")
        #expect(first.endpoint == "http://any:1")
        #expect(first.sessionToken == nil)
        environment["AWS_ENDPOINT_URL_S3"] = "https://s3"
        environment["AWS_SESSION_TOKEN"] = "token"
        let second = try S3Configuration(bucket: "farm", prefix: "p", environment: environment)
        #expect(second.endpoint == "https://s3")
        #expect(second.sessionToken == "token")
        environment["AWS_SECRET_ACCESS_KEY"] = nil
        let error = #expect(throws: BlobStoreError.self) {
            try S3Configuration(bucket: "farm", prefix: "p", environment: environment)
        }
        #expect(error?.description.contains("AWS_SECRET_ACCESS_KEY") == true)
    }

    @Test("a folder's setting opens a store there")
    func opens() async throws {
        try await TemporaryFolder.lend { folder in
            let store = try BlobLocation(folder).open(environment: [:])
            #expect(store.location == folder)
            let digest = try await store.store(Data("abc".utf8)).digest
            #expect(try await store.contains(digest))
        }
    }
}
