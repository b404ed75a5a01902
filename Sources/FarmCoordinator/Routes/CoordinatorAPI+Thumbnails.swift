import BlobStore
import FarmModel
import HTTPTypes
import Hummingbird
import NIOCore

extension CoordinatorAPI {
    /// The side of the square that a picture is to fit into, as `fit=256`; nil for the picture itself.
    static func side(_ request: Request) throws -> Int? {
        guard let text = request.uri.queryParameters.get("fit") else { return nil }
        guard let side = Int(text), Thumbnails.sides.contains(side) else {
            let sides = Thumbnails.sides.map(String.init).joined(separator: ", ")
            throw CoordinatorProblem(
                .malformed,
                "'fit' in the query is one of \(sides), not '\(text)'"
            )
        }
        return side
    }

    /// A picture scaled down to fit into a square, as a JPEG that a reader may keep for ever.
    func thumbnail(
        of digest: BlobDigest,
        fitting side: Int,
        _ request: Request
    ) async throws -> Response {
        let tag = "\"\(digest)-\(side)\""
        let headers: HTTPFields = [
            .contentType: "image/jpeg", .eTag: tag, .contentTypeOptions: "nosniff",
            .cacheControl: "private, max-age=31536000, immutable",
        ]
        guard request.headers[.ifNoneMatch] != tag else {
            return Response(status: .notModified, headers: headers)
        }
        let bytes = try await thumbnails.thumbnail(of: digest, fitting: side)
        return Response(
            status: .ok,
            headers: headers,
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes))
        )
    }
}
