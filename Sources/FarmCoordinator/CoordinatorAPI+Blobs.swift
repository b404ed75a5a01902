import BlobStore
import FarmModel
import Hummingbird
import NIOCore

extension CoordinatorAPI {
    /// The largest blob that is accepted, in bytes.
    private static let largestBlob: Int64 = 512 << 20

    func addBlobRoutes(to group: RouterGroup<Context>) {
        group.post("blobs/missing") { request, _ in
            let list = try await request.message(BlobList.self, limit: 16 << 20)
            return try Response(
                message: BlobList(digests: list.digests.filter { !blobs.contains($0) })
            )
        }
        group.put("blobs/{sha256}") { request, context in
            let digest = try context.part("sha256", BlobDigest.init(rawValue:))
            let writer = try await receive(request)
            _ = try await blobs.finish(writer, expecting: digest)
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
            guard blobs.contains(digest) else { return Response(status: .notFound) }
            return Response(status: .ok)
        }
    }

    /// Writes a request's body aside as it comes.
    func receive(_ request: Request) async throws -> BlobWriter {
        let writer = try blobs.makeWriter()
        for try await buffer in request.body {
            try buffer.withUnsafeReadableBytes { try writer.append($0) }
            guard writer.count <= Self.largestBlob else {
                throw CoordinatorProblem(
                    .tooLarge,
                    "the body is longer than \(Self.largestBlob) bytes"
                )
            }
        }
        return writer
    }

    /// Streams a blob out of the store.
    func content(
        of digest: BlobDigest,
        type: String,
        _ context: Context
    ) async throws -> Response {
        guard let path = blobs.path(of: digest) else {
            throw CoordinatorProblem(.notFound, "the blob \(digest) is not in the store")
        }
        let body = try await FileIO().loadFile(path: path, context: context)
        return Response(
            status: .ok,
            headers: [.contentType: type, .eTag: "\"\(digest)\""],
            body: body
        )
    }
}
