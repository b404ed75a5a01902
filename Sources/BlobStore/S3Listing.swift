import FoundationEssentials
import HTTPTransport
import Synchronization

/// Goes through the objects below a prefix, a page of a thousand in memory at a time.
final class S3Listing: Sendable {
    /// An object as the store lists it.
    struct Object: Sendable {
        let key: String
        let size: Int64
        let storedAt: Date
    }

    /// An upload in parts that is neither complete nor aborted.
    struct Upload: Sendable {
        let key: String
        let id: String
        let begunAt: Date
    }

    private let connection: S3Connection
    private let prefix: String
    private let state = Mutex(State())

    private struct State {
        /// In reverse order.
        var objects: [Object] = []
        /// Where the next page begins; empty for the first, nil for none.
        var token: String? = ""
    }

    init(_ connection: S3Connection, prefix: String) {
        self.connection = connection
        self.prefix = prefix
    }

    /// The next object, or nil at the end.
    func next() async throws -> Object? {
        while true {
            let (object, token) = state.withLock { ($0.objects.popLast(), $0.token) }
            if let object { return object }
            guard let token else { return nil }
            let page = try await page(token)
            state.withLock { $0 = page }
        }
    }

    private func page(_ token: String) async throws -> State {
        var query = [(name: "list-type", value: "2"), (name: "prefix", value: prefix)]
        if !token.isEmpty { query.append((name: "continuation-token", value: token)) }
        let root = try await Self.list(connection, "ListObjectsV2", "ListBucketResult", query)
        let objects = root.all("Contents").compactMap { element -> Object? in
            guard let key = element["Key"], let size = element["Size"].flatMap({ Int64($0) }),
                let storedAt = element["LastModified"].flatMap(Self.date)
            else { return nil }
            return Object(key: key, size: size, storedAt: storedAt)
        }
        let isLast = root["IsTruncated"] != "true"
        return State(
            objects: objects.reversed(),
            token: isLast ? nil : root["NextContinuationToken"]
        )
    }

    /// The uploads in parts below a prefix.
    static func uploads(_ connection: S3Connection, prefix: String) async throws -> [Upload] {
        var uploads: [Upload] = []
        var marker: (key: String, id: String)?
        repeat {
            var query = [(name: "uploads", value: ""), (name: "prefix", value: prefix)]
            if let marker {
                query.append((name: "key-marker", value: marker.key))
                query.append((name: "upload-id-marker", value: marker.id))
            }
            let root = try await list(
                connection,
                "ListMultipartUploads",
                "ListMultipartUploadsResult",
                query
            )
            uploads += root.all("Upload").compactMap { element in
                guard let key = element["Key"], let id = element["UploadId"],
                    let begunAt = element["Initiated"].flatMap(date), key.hasPrefix(prefix)
                else { return nil }
                return Upload(key: key, id: id, begunAt: begunAt)
            }
            marker = nil
            if root["IsTruncated"] == "true", let key = root["NextKeyMarker"] {
                marker = (key, root["NextUploadIdMarker"] ?? "")
            }
        } while marker != nil
        return uploads
    }

    private static func list(
        _ connection: S3Connection,
        _ operation: String,
        _ rootName: String,
        _ query: [(name: String, value: String)]
    ) async throws -> XMLElement {
        let response = try await connection.send(
            .init(operation: operation, method: "GET", key: "", query: query)
        )
        guard let root = XMLElement(document: response.body), root.name == rootName else {
            throw BlobStoreError.s3(
                S3Failure(
                    operation: operation,
                    bucket: connection.configuration.bucket,
                    key: "",
                    status: response.status,
                    code: "",
                    message: "the answer is no list; is the endpoint an S3 store?"
                )
            )
        }
        return root
    }

    /// A time like `2026-11-23T20:00:00.000Z`.
    static func date(_ text: String) -> Date? {
        let whole = text.prefix(19)
        return try? Date("\(whole)Z", strategy: .iso8601)
    }
}
