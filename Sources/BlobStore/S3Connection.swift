import FarmModel
import FoundationEssentials
import HTTPTransport

/// The requests to one bucket, signed and tried again where that helps.
struct S3Connection: Sendable {
    let configuration: S3Configuration
    private let transport: HTTPClient
    private let retry: RetryPolicy

    init(_ configuration: S3Configuration, transport: HTTPClient, retry: RetryPolicy) {
        self.configuration = configuration
        self.transport = transport
        self.retry = retry
    }

    /// An operation as it is asked for.
    struct Call {
        /// S3's name of the operation, for errors.
        var operation: String
        var method: String
        /// The key below the bucket; empty for the bucket itself.
        var key: String
        /// Names and values, not yet encoded.
        var query: [(name: String, value: String)] = []
        var headers: [(name: String, value: String)] = []
        var body = Data()
        /// The digest of the body, where it is known.
        var digest: BlobDigest?
        var timeout: Duration? = .seconds(300)
    }

    // MARK: - Calls

    /// The answer to a call if it is a success, tried again where S3 is busy or out of reach.
    func send(_ call: Call) async throws -> HTTPResponse {
        var attempt = 1
        while true {
            let response: HTTPResponse
            do {
                response = try await transport.send(request(call), retry: retry)
            } catch let error as HTTPTransportError {
                throw BlobStoreError.s3(failure(call, nil, error.description))
            }
            guard let failure = failure(in: response, call) else { return response }
            let isBusy = Self.passing.contains(failure.code)
            guard isBusy, attempt < retry.attempts else { throw BlobStoreError.s3(failure) }
            try await Task.sleep(for: retry.delay(after: attempt))
            attempt += 1
        }
    }

    /// The answer to a call if it is a success, as soon as its headers are there.
    func open(_ call: Call) async throws -> HTTPStreamingResponse {
        do {
            let response = try await transport.open(request(call), retry: retry)
            guard !response.isSuccess else { return response }
            let body = try await response.body.collect(upTo: 64 << 10)
            throw BlobStoreError.s3(refusal(response.status, body, call))
        } catch let error as HTTPTransportError {
            throw BlobStoreError.s3(failure(call, nil, error.description))
        }
    }

    /// The wait before a call is tried again, where it may be tried again.
    func delay(after attempt: Int) -> Duration? {
        attempt < retry.attempts ? retry.delay(after: attempt) : nil
    }

    // MARK: - Errors

    /// Codes that come with a status that says nothing of trying again, and still pass.
    private static let passing: Set<String> = [
        "SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout",
        "ConditionalRequestConflict", "OperationAborted",
    ]

    private func failure(in response: HTTPResponse, _ call: Call) -> S3Failure? {
        guard response.isSuccess else { return refusal(response.status, response.body, call) }
        // Some operations answer 200 while they work, and then with an error.
        guard call.method != "GET", response.body.count < 64 << 10, !response.body.isEmpty,
            let root = XMLElement(document: response.body), root.name == "Error"
        else { return nil }
        return refusal(response.status, response.body, call)
    }

    private func refusal(_ status: Int, _ body: Data, _ call: Call) -> S3Failure {
        let document = XMLElement(document: body)
        let error = document?.name == "Error" ? document : nil
        // The answer to HEAD has no body to tell more.
        let known = [301: "PermanentRedirect", 403: "AccessDenied", 404: "NoSuchKey"]
        return S3Failure(
            operation: call.operation,
            bucket: configuration.bucket,
            key: call.key,
            status: status,
            code: error?["Code"] ?? known[status] ?? "",
            message: error?["Message"] ?? "the answer gives no reason"
        )
    }

    private func failure(_ call: Call, _ status: Int?, _ message: String) -> S3Failure {
        S3Failure(
            operation: call.operation,
            bucket: configuration.bucket,
            key: call.key,
            status: status,
            code: "",
            message: message
        )
    }

    // MARK: - Requests

    private func request(_ call: Call) -> HTTPRequest {
        let digest = call.digest ?? BlobDigest(of: call.body)
        var headers = call.headers
        headers.append((name: "x-amz-content-sha256", value: digest.rawValue))
        if !call.body.isEmpty {
            headers.append((name: "Content-Type", value: "application/octet-stream"))
        }
        return HTTPRequest(
            method: call.method,
            url: url(call),
            headers: headers,
            body: call.body.isEmpty ? .none : .bytes(call.body),
            timeout: call.timeout,
            isIdempotent: true,
            signature: AWSSignature(
                region: configuration.region,
                accessKey: configuration.accessKey,
                secretKey: configuration.secretKey,
                sessionToken: configuration.sessionToken
            )
        )
    }

    /// The address in the form that is signed: every part encoded, the query in order.
    private func url(_ call: Call) -> String {
        let path = call.key.isEmpty ? "" : "/" + Self.encoded(call.key, keeping: "/")
        let query = call.query.map { "\(Self.encoded($0.name))=\(Self.encoded($0.value))" }.sorted()
        let address = configuration.bucketURL + (path.isEmpty ? "/" : path)
        return query.isEmpty ? address : "\(address)?\(query.joined(separator: "&"))"
    }

    /// `text` with everything but letters, digits and `-._~` as `%XX`.
    static func encoded(_ text: String, keeping kept: String = "") -> String {
        var result = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"), UInt8(ascii: "~"):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            case _ where kept.utf8.contains(byte):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                result += byte < 16 ? "%0\(digits)" : "%\(digits)"
            }
        }
        return result
    }
}
