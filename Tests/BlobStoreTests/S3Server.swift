import BlobStore
import FoundationEssentials
import HTTPTransport
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import NIOCore
import Synchronization

/// An S3 server in memory that checks every signature and fails where it is told to.
final class S3Server: HTTPResponder {
    typealias Context = BasicRequestContext

    /// What goes wrong with one request.
    enum Fault {
        /// The answer is this error.
        case refusal(HTTPTypes.HTTPResponse.Status, code: String)
        /// The request is done, and the answer breaks off.
        case cut
        /// The answer's tag is not the part's.
        case wrongTag
        /// The status is 200, the body an error.
        case errorInSuccess(code: String)
    }

    /// An answer before it is sent.
    private struct Answer {
        var status = HTTPTypes.HTTPResponse.Status.ok
        var headers = HTTPFields()
        var body = Data()
    }

    struct Upload {
        let key: String
        let begunAt = Date()
        var parts: [Int: Data] = [:]
    }

    struct State {
        var objects: [String: (data: Data, storedAt: Date)] = [:]
        var uploads: [String: Upload] = [:]
        /// The operations that were asked for, in order.
        var log: [String] = []
        /// What goes wrong with the next requests of an operation.
        var faults: [String: [Fault]] = [:]
    }

    static let bucket = "farm-bucket"
    static let secretKey = "a/secret+key"

    let state = Mutex(State())
    private let signature: S3Signature

    init(sessionToken: String? = nil, region: String = "eu-test-1") {
        signature = S3Signature(
            secretKey: Self.secretKey,
            region: region,
            sessionToken: sessionToken
        )
    }

    /// Serves on a port of its own and lends a configuration for it.
    func serve(_ body: @escaping @Sendable (S3Configuration) async throws -> Void) async throws {
        try await Application(
            responder: self,
            configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0))
        ).test(.live) { client in
            var configuration = S3Configuration(
                bucket: Self.bucket,
                prefix: "some where/ü+(x)!",
                endpoint: "http://127.0.0.1:\(client.port ?? 0)",
                region: "eu-test-1",
                accessKey: "an-access-key",
                secretKey: Self.secretKey
            )
            configuration.partSize = 1 << 16
            try await body(configuration)
        }
    }

    /// Tries without waits to speak of.
    static let quick = RetryPolicy(
        attempts: 4,
        firstDelay: .milliseconds(1),
        largestDelay: .milliseconds(2),
        statuses: S3BlobStore.retry.statuses
    )

    /// Makes the next requests of `operation` fail.
    func fail(_ operation: String, _ faults: Fault...) {
        state.withLock { $0.faults[operation, default: []] += faults }
    }

    /// How often `operation` was asked for.
    func count(of operation: String) -> Int {
        state.withLock { state in state.log.count { $0 == operation } }
    }

    // MARK: - Requests

    func respond(to request: Request, context: Context) async throws -> Response {
        let body = Data(try await request.body.collect(upTo: 1 << 26).readableBytesView)
        let target = request.head.path ?? ""
        let path = S3Signature.decoded(target.split(separator: "?")[0])
        let query = S3Query(target)
        let answer: Answer
        if let code = signature.problem(of: request, body: body) {
            answer = Self.error(.forbidden, code)
        } else if path.hasPrefix("/\(Self.bucket)/") {
            let key = String(path.dropFirst(Self.bucket.count + 2))
            let operation = Self.operation(request, query, key)
            switch nextFault(of: operation) {
            case .refusal(let status, let code): answer = Self.error(status, code)
            case .errorInSuccess(let code): answer = Self.error(.ok, code)
            case .wrongTag:
                _ = perform(operation, key, query, request, body)
                answer = Answer(headers: [.eTag: "\"0\""])
            case .cut: return Self.cut(perform(operation, key, query, request, body))
            case nil: answer = perform(operation, key, query, request, body)
            }
        } else {
            answer = Self.error(.notFound, "NoSuchBucket")
        }
        let response = Response(
            status: answer.status,
            headers: answer.headers,
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: answer.body))
        )
        return request.method == .head ? response.createHeadResponse() : response
    }

    private func nextFault(of operation: String) -> Fault? {
        state.withLock { state in
            state.log.append(operation)
            guard state.faults[operation]?.isEmpty == false else { return nil }
            return state.faults[operation]?.removeFirst()
        }
    }

    private static func operation(_ request: Request, _ query: S3Query, _ key: String) -> String {
        switch request.method {
        case .get where query["list-type"] == "2": "ListObjectsV2"
        case .get where query["uploads"] != nil: "ListMultipartUploads"
        case .get: "GetObject"
        case .head: "HeadObject"
        case .put where query["partNumber"] != nil:
            request["x-amz-copy-source"] == nil ? "UploadPart" : "UploadPartCopy"
        case .put where request["x-amz-copy-source"] != nil: "CopyObject"
        case .put: "PutObject"
        case .post where query["uploads"] != nil: "CreateMultipartUpload"
        case .post: "CompleteMultipartUpload"
        case .delete where query["uploadId"] != nil: "AbortMultipartUpload"
        default: "DeleteObject"
        }
    }

    private func perform(
        _ operation: String,
        _ key: String,
        _ query: S3Query,
        _ request: Request,
        _ body: Data
    ) -> Answer {
        state.withLock { state in
            switch operation {
            case "GetObject", "HeadObject": Self.read(key, request, state)
            case "PutObject":
                if request["if-none-match"] == "*", state.objects[key] != nil {
                    Self.error(.preconditionFailed, "PreconditionFailed")
                } else {
                    Self.store(body, key, &state)
                }
            case "DeleteObject": Self.remove(key, &state)
            case "CopyObject": Self.copy(to: key, request, &state)
            case "UploadPartCopy": Self.copyPart(to: key, query, request, &state)
            case "ListObjectsV2": Self.list(query, state)
            default: Self.performUpload(operation, key, query, body, &state)
            }
        }
    }

    private static func store(_ data: Data, _ key: String, _ state: inout State) -> Answer {
        state.objects[key] = (data, Date())
        return Answer(headers: [.eTag: tag(data)])
    }

    private static func remove(_ key: String, _ state: inout State) -> Answer {
        state.objects[key] = nil
        return Answer(status: .noContent)
    }

    private static func copy(to key: String, _ request: Request, _ state: inout State) -> Answer {
        let source = S3Signature.decoded(request["x-amz-copy-source"] ?? "")
        let name = String(source.dropFirst(bucket.count + 2))
        guard let object = state.objects[name] else { return error(.notFound, "NoSuchKey") }
        guard name != key || request["x-amz-metadata-directive"] == "REPLACE" else {
            return error(.badRequest, "InvalidRequest")
        }
        _ = store(object.data, key, &state)
        return document("<CopyObjectResult><ETag>x</ETag></CopyObjectResult>")
    }

    private static func copyPart(
        to key: String,
        _ query: S3Query,
        _ request: Request,
        _ state: inout State
    ) -> Answer {
        let source = S3Signature.decoded(request["x-amz-copy-source"] ?? "")
        let bounds = (request["x-amz-copy-source-range"] ?? "").dropFirst("bytes=".count)
            .split(separator: "-").compactMap { Int($0) }
        guard let object = state.objects[String(source.dropFirst(bucket.count + 2))],
            bounds.count == 2
        else { return error(.notFound, "NoSuchKey") }
        let part = Data(object.data[bounds[0]...bounds[1]])
        let answer = performUpload("UploadPart", key, query, part, &state)
        guard answer.status == .ok else { return answer }
        return document("<CopyPartResult><ETag>\(escaped(tag(part)))</ETag></CopyPartResult>")
    }

    private static func read(_ key: String, _ request: Request, _ state: State) -> Answer {
        guard let data = state.objects[key]?.data else { return error(.notFound, "NoSuchKey") }
        guard let range = request.headers[.range] else {
            return Answer(body: data)
        }
        let bounds = range.dropFirst("bytes=".count).split(separator: "-").compactMap { Int($0) }
        let part = data[bounds[0]..<min(bounds[1] + 1, data.count)]
        return Answer(
            status: .partialContent,
            headers: [.contentRange: "bytes \(range.dropFirst(6))/\(data.count)"],
            body: part
        )
    }

    /// Lists seven objects a page.
    private static func list(_ query: S3Query, _ state: State) -> Answer {
        let prefix = query["prefix"] ?? ""
        let after = query["continuation-token"] ?? ""
        let keys = state.objects.keys.filter { $0.hasPrefix(prefix) && $0 > after }.sorted()
        let page = keys.prefix(7)
        let contents = page.map { key in
            let object = state.objects[key]
            let time = (object?.storedAt ?? Date()).formatted(.iso8601).dropLast()
            return """
                <Contents><Key>\(escaped(key))</Key><LastModified>\(time).000Z</LastModified>\
                <ETag>&quot;x&quot;</ETag><Size>\(object?.data.count ?? 0)</Size></Contents>
                """
        }
        let next =
            keys.count > page.count
            ? "<NextContinuationToken>\(escaped(page.last ?? ""))</NextContinuationToken>" : ""
        return document(
            """
            <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">\
            <IsTruncated>\(keys.count > page.count)</IsTruncated>\(contents.joined())\(next)\
            </ListBucketResult>
            """
        )
    }

    // MARK: - Uploads in parts

    private static func performUpload(
        _ operation: String,
        _ key: String,
        _ query: S3Query,
        _ body: Data,
        _ state: inout State
    ) -> Answer {
        if operation == "CreateMultipartUpload" {
            let id = UUID().uuidString
            state.uploads[id] = Upload(key: key)
            return document(
                "<InitiateMultipartUploadResult><UploadId>\(id)</UploadId>"
                    + "</InitiateMultipartUploadResult>"
            )
        }
        if operation == "ListMultipartUploads" { return listUploads(state) }
        let id = query["uploadId"] ?? ""
        guard var upload = state.uploads[id], upload.key == key else {
            return error(.notFound, "NoSuchUpload")
        }
        switch operation {
        case "UploadPart":
            upload.parts[Int(query["partNumber"] ?? "") ?? 0] = body
            state.uploads[id] = upload
            return Answer(headers: [.eTag: tag(body)])
        case "CompleteMultipartUpload":
            let parts = upload.parts.sorted { $0.key < $1.key }
            let expected = parts.map { number, data in
                "<Part><PartNumber>\(number)</PartNumber><ETag>\(escaped(tag(data)))</ETag></Part>"
            }
            let wanted = String(decoding: body, as: UTF8.self)
            guard
                wanted == "<CompleteMultipartUpload>\(expected.joined())</CompleteMultipartUpload>"
            else { return error(.badRequest, "InvalidPart") }
            state.uploads[id] = nil
            _ = store(parts.reduce(Data()) { $0 + $1.value }, key, &state)
            return document("<CompleteMultipartUploadResult/>")
        default:
            state.uploads[id] = nil
            return Answer(status: .noContent)
        }
    }

    private static func listUploads(_ state: State) -> Answer {
        let uploads = state.uploads.map { id, upload in
            """
            <Upload><Key>\(escaped(upload.key))</Key><UploadId>\(id)</UploadId>\
            <Initiated>\(upload.begunAt.formatted(.iso8601).dropLast()).000Z</Initiated></Upload>
            """
        }
        return document(
            "<ListMultipartUploadsResult>\(uploads.joined())</ListMultipartUploadsResult>"
        )
    }

    // MARK: - Answers

    private static func tag(_ data: Data) -> String { "\"\(S3Signature.digest(data).prefix(32))\"" }

    private static func escaped(_ text: String) -> String {
        text.map { character in
            switch character {
            case "&": "&amp;"
            case "<": "&lt;"
            case "\"": "&quot;"
            default: String(character)
            }
        }.joined()
    }

    private static func document(
        _ text: String,
        status: HTTPTypes.HTTPResponse.Status = .ok
    ) -> Answer {
        let whole = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\(text)"
        return Answer(
            status: status,
            headers: [.contentType: "application/xml"],
            body: Data(whole.utf8)
        )
    }

    private static func error(
        _ status: HTTPTypes.HTTPResponse.Status,
        _ code: String
    ) -> Answer {
        document("<Error><Code>\(code)</Code><Message>as told</Message></Error>", status: status)
    }

    /// The answer, half of whose body never comes.
    private static func cut(_ answer: Answer) -> Response {
        struct Cut: Error {}
        let half = ByteBuffer(bytes: answer.body.prefix(answer.body.count / 2))
        return Response(
            status: answer.status,
            headers: answer.headers,
            body: ResponseBody(contentLength: max(answer.body.count, 10)) { writer in
                try await writer.write(half)
                throw Cut()
            }
        )
    }
}
