import BlobStore
import FarmModel
import FoundationEssentials
import HTTPTypes
import HummingbirdTesting
import Imaging
import NIOCore
import TestSupport
import Testing

@testable import FarmCoordinator

@Suite(.database) struct ThumbnailTests {
    private static func picture(_ width: Int, _ height: Int, _ level: UInt8) throws -> Data {
        Data(try PNGEncoder.encode(PixelImage(width: width, height: height, level: level)))
    }

    @Test(
        "a picture fits into the square that is asked for, keeps its shape, and never grows",
        arguments: [(1024, 512, 256, 256, 128), (300, 1200, 128, 32, 128), (64, 48, 512, 64, 48)]
    )
    func sizes(width: Int, height: Int, side: Int, newWidth: Int, newHeight: Int) async throws {
        try await TestFarm.withAPI { farm in
            let picture = try Self.picture(width, height, 90)
            let digest = BlobDigest(of: picture)
            let sent = try await farm.send(.put, "/v1/blobs/\(digest)", picture)
            #expect(sent.status == .created)
            let answer = try await farm.send(.get, "/v1/blobs/\(digest)?fit=\(side)")
            #expect(answer.status == .ok)
            #expect(answer.headers[.contentType] == "image/jpeg")
            #expect(answer.headers[.cacheControl]?.contains("immutable") == true)
            let image = try ImageDecoder().decode(Array(answer.body.readableBytesView), name: "t")
            #expect(image.width == newWidth)
            #expect(image.height == newHeight)
            #expect(abs(Int(image[0, 0][0]) - 90) < 3)
            let tag = try #require(answer.headers[.eTag])
            var headers: HTTPFields = [.authorization: "Bearer \(TestFarm.admin)"]
            headers[.ifNoneMatch] = tag
            let again = try await farm.send(
                .get,
                "/v1/blobs/\(digest)?fit=\(side)",
                headers: headers
            )
            #expect(again.status == .notModified)
        }
    }

    @Test("other sizes are refused, and what is no picture has no thumbnail")
    func refusals() async throws {
        try await TestFarm.withAPI { farm in
            let text = Data("no picture".utf8)
            let digest = BlobDigest(of: text)
            _ = try await farm.send(.put, "/v1/blobs/\(digest)", text)
            for side in ["0", "100", "99999", "x", ""] {
                let kind = try await farm.problem(.get, "/v1/blobs/\(digest)?fit=\(side)")
                #expect(kind == .malformed, "\(side)")
            }
            #expect(try await farm.problem(.get, "/v1/blobs/\(digest)?fit=256") == .notFound)
        }
    }

    @Test("a delivered picture has one, and the picture itself stays as it was delivered")
    func delivered() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register()
            let job = try await farm.submit("parameters: {prompt: a}")
            let task = try await farm.task(worker.id)
            let picture = try Self.picture(512, 512, 200)
            _ = try await farm.deliver(task, task.images[0].index, picture, isFinal: true)
            let images: Page<ImageView> = try await farm.call(.get, "/v1/jobs/\(job.id)/images")
            let path = "/v1/images/\(try #require(images.items.first).id)/content"
            let small = try await farm.send(.get, "\(path)?fit=128")
            #expect(small.headers[.contentType] == "image/jpeg")
            let image = try ImageDecoder().decode(Array(small.body.readableBytesView), name: "t")
            #expect(image.width == 128)
            let whole = try await farm.send(.get, path)
            #expect(Data(whole.body.readableBytesView) == picture)
        }
    }

    @Test("no more is kept than there is room for, and what was used last stays")
    func capacity() async throws {
        let folder = FileManager.default.temporaryDirectory.path + "/thumbnails-\(UUID())"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let blobs = try FolderBlobStore(folder: folder)
        var digests: [BlobDigest] = []
        for level in 0..<40 {
            let data = try Self.picture(64, 64, UInt8(level))
            digests.append(BlobDigest(of: data))
            _ = try await blobs.store(data)
        }
        let one = try await Thumbnails(blobs: blobs).thumbnail(of: digests[0], fitting: 128).count
        let thumbnails = Thumbnails(blobs: blobs, capacity: 20 * one)
        for digest in digests {
            _ = try await thumbnails.thumbnail(of: digest, fitting: 128)
            #expect(thumbnails.size <= 20 * one)
        }
        #expect(thumbnails.size > 10 * one)
        try await blobs.remove(digests[39])
        try await blobs.remove(digests[0])
        _ = try await thumbnails.thumbnail(of: digests[39], fitting: 128)
        await #expect(throws: CoordinatorProblem.self) {
            try await thumbnails.thumbnail(of: digests[0], fitting: 128)
        }
    }
}
