import FoundationEssentials
import HTTPTransport

extension S3BlobStore {
    /// The size of the parts in which an object is copied that is too large for one request.
    private static let copiedPart: Int64 = 1 << 30

    /// Lets the store copy an object of at most 5 GiB.
    func copy(
        _ source: String,
        to target: String,
        headers: [(name: String, value: String)] = []
    ) async throws {
        _ = try await connection.send(
            .init(
                operation: "CopyObject",
                method: "PUT",
                key: target,
                headers: [(name: "x-amz-copy-source", value: copySource(source))] + headers
            )
        )
    }

    /// Lets the store copy an object of any size onto itself.
    func copyInParts(_ key: String, size: Int64) async throws {
        let upload = try await beginUpload(at: key)
        do {
            var tags: [String] = []
            for start in stride(from: 0, to: size, by: Int64.Stride(Self.copiedPart)) {
                let end = min(start + Self.copiedPart, size) - 1
                let call = S3Connection.Call(
                    operation: "UploadPartCopy",
                    method: "PUT",
                    key: key,
                    query: [
                        (name: "partNumber", value: "\(tags.count + 1)"),
                        (name: "uploadId", value: upload),
                    ],
                    headers: [
                        (name: "x-amz-copy-source", value: copySource(key)),
                        (name: "x-amz-copy-source-range", value: "bytes=\(start)-\(end)"),
                    ]
                )
                let response = try await connection.send(call)
                guard let tag = XMLElement(document: response.body)?["ETag"] else {
                    throw strange(call.operation, key, "the answer has no tag of the part")
                }
                tags.append(tag)
            }
            try await completeUpload(upload, at: key, tags)
        } catch {
            // Shielded from cancellation, so that no parts are left; awaited at once.
            await Task { try? await abort(upload, key: key) }.value
            throw error
        }
    }

    private func copySource(_ key: String) -> String {
        "/\(connection.configuration.bucket)/\(S3Connection.encoded(key, keeping: "/"))"
    }

    // MARK: - Uploads in parts

    /// Begins an upload in parts, and returns the store's name of it.
    func beginUpload(at key: String) async throws -> String {
        let call = S3Connection.Call(
            operation: "CreateMultipartUpload",
            method: "POST",
            key: key,
            query: [(name: "uploads", value: "")]
        )
        let response = try await connection.send(call)
        guard let root = XMLElement(document: response.body), let id = root["UploadId"] else {
            throw strange(call.operation, key, "the answer names no upload")
        }
        return id
    }

    /// Makes one object of an upload's parts, whose tags the store gave.
    func completeUpload(_ upload: String, at key: String, _ tags: [String]) async throws {
        let parts = tags.enumerated().map { index, tag in
            let quoted = tag.split(separator: "\"", omittingEmptySubsequences: false)
                .joined(separator: "&quot;")
            return "<Part><PartNumber>\(index + 1)</PartNumber><ETag>\(quoted)</ETag></Part>"
        }
        let body = "<CompleteMultipartUpload>\(parts.joined())</CompleteMultipartUpload>"
        _ = try await connection.send(
            .init(
                operation: "CompleteMultipartUpload",
                method: "POST",
                key: key,
                query: [(name: "uploadId", value: upload)],
                body: Data(body.utf8)
            )
        )
    }
}
