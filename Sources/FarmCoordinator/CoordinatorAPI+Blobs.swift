import BlobStore
import FarmModel
import FoundationEssentials
import Hummingbird
import NIOCore

extension CoordinatorAPI {
    /// The largest blob that is accepted, in bytes.
    private static let largestBlob: Int64 = 512 << 20

    func addBlobRoutes(to group: RouterGroup<Context>) {
        group.post("blobs/missing") { request, _ in
            let list = try await request.message(BlobList.self, limit: 16 << 20)
            return try Response(
                message: BlobList(digests: await blobs.missing(among: list.digests))
            )
        }
        group.put("blobs/{sha256}") { request, context in
            let digest = try context.part("sha256", BlobDigest.init(rawValue:))
            _ = try await receive(request, expecting: digest)
            return Response(status: .created)
        }
        group.get("blobs/{sha256}") { _, context in
            try await content(
                of: context.part("sha256", BlobDigest.init(rawValue:)),
                type: "application/octet-stream",
                context
            )
        }
        group.head("blobs/{sha256}") { _, context in
            let digest = try context.part("sha256", BlobDigest.init(rawValue:))
            guard try await blobs.contains(digest) else { return Response(status: .notFound) }
            return Response(status: .ok)
        }
    }

    /// Stores a request's body as it comes.
    func receive(
        _ request: Request,
        expecting digest: BlobDigest? = nil
    ) async throws -> StoredBlob {
        try await blobs.store(
            request.body.map { Data($0.readableBytesView) },
            expecting: digest,
            limit: Self.largestBlob
        )
    }

    /// Streams a blob out of the store.
    func content(
        of digest: BlobDigest,
        type: String,
        _ context: Context
    ) async throws -> Response {
        let content: BlobContent
        do {
            content = try await blobs.open(digest)
        } catch let error as BlobStoreError where error == .missing(digest) {
            throw CoordinatorProblem(.notFound, "the blob \(digest) is not in the store")
        }
        return Response(
            status: .ok,
            headers: [.contentType: type, .eTag: "\"\(digest)\""],
            body: ResponseBody(contentLength: Int(content.length)) { writer in
                for try await chunk in content { try await writer.write(ByteBuffer(bytes: chunk)) }
                try await writer.finish(nil)
            }
        )
    }
}
