import CLibCurl
import FoundationEssentials
import Glibc

/// One request and its answer.
///
/// Sendable because, once it is given to a loop, only the loop's thread touches what changes.
final class CurlExchange: @unchecked Sendable {
    /// Where the answer goes.
    enum Answer {
        /// When it is complete.
        case whole(CheckedContinuation<HTTPResponse, any Error>)
        /// When its headers are there; the body then comes through the channel.
        case streaming(CheckedContinuation<HTTPResponse, any Error>?, ReceivingChannel)
    }

    let request: HTTPRequest
    private let loop: CurlLoop
    private let connectTimeout: Duration
    private let tls: HTTPClientTLS
    private var answer: Answer?
    private var source: HTTPBodySource
    private var target: HTTPBodyTarget
    private var headerList: UnsafeMutablePointer<curl_slist>?
    private var status = 0
    private var headers: [String: String] = [:]
    /// What a callback could not do; it outranks libcurl's own code.
    private var failure: HTTPTransportError?
    /// An address that was not public, where only such may be reached.
    var refused: NetworkAddress?
    /// libcurl's handle while the exchange runs.
    private(set) var handle: UnsafeMutableRawPointer?
    /// How it ended.
    private var end: Result<HTTPResponse, any Error>?

    init(
        _ request: HTTPRequest,
        on loop: CurlLoop,
        connectTimeout: Duration,
        tls: HTTPClientTLS,
        sending channel: SendingChannel?
    ) {
        self.request = request
        self.loop = loop
        self.connectTimeout = connectTimeout
        self.tls = tls
        source = HTTPBodySource(request.body, channel)
        target = HTTPBodyTarget(request.destination, url: request.url)
    }

    // MARK: - From any thread

    /// Sends the request; the answer goes where `answer` says.
    func start(_ answer: Answer) { loop.start(self, answer) }

    func resume() { loop.resume(self) }

    func cancel(_ error: any Error = CancellationError()) { loop.cancel(self, error) }

    // MARK: - On the loop's thread

    var isOver: Bool { end != nil }

    /// Notes where the answer goes.
    ///
    /// - Returns: Whether the request is to be sent: one whose task was cancelled before it came
    ///   here is over, and its end is told now.
    func begin(_ answer: Answer) -> Bool {
        self.answer = answer
        guard let end else { return true }
        finish(with: end)
        return false
    }

    /// Sets the handle's options.
    func prepare(_ handle: UnsafeMutableRawPointer) throws(HTTPTransportError) {
        guard request.url.hasPrefix("http://") || request.url.hasPrefix("https://") else {
            throw .invalidURL(request.url)
        }
        self.handle = handle
        setOptions(handle)
        try setBody(handle)
        try setHeaders(handle)
    }

    /// Ends the exchange with what libcurl says.
    func finish(_ code: CURLcode) {
        do {
            if let failure { throw failure }
            try check(code)
            finish(with: .success(try makeResponse()))
        } catch {
            finish(with: .failure(error))
        }
    }

    /// Ends the exchange with an error.
    func finish(throwing error: any Error) { finish(with: .failure(error)) }

    private func makeResponse() throws(HTTPTransportError) -> HTTPResponse {
        HTTPResponse(status: status, headers: headers, body: try target.finish(status))
    }

    private func finish(with result: Result<HTTPResponse, any Error>) {
        curl_slist_free_all(headerList)
        headerList = nil
        handle = nil
        end = result
        switch answer {
        case .whole(let continuation): continuation.resume(with: result)
        case .streaming(let continuation, let channel):
            continuation?.resume(with: result)
            channel.finish(result.map { _ in })
        case nil: break
        }
        answer = nil
    }

    // MARK: - Options

    private func setOptions(_ handle: UnsafeMutableRawPointer) {
        let context = Unmanaged.passUnretained(self).toOpaque()
        _ = curl_easy_allow_only_http(handle)
        _ = curl_easy_set_string(handle, CURLOPT_URL, request.url)
        _ = curl_easy_set_string(handle, CURLOPT_CUSTOMREQUEST, request.method)
        _ = curl_easy_set_string(handle, CURLOPT_USERAGENT, "dreamfarm")
        _ = curl_easy_set_long(handle, CURLOPT_NOSIGNAL, 1)
        _ = curl_easy_set_long(handle, CURLOPT_TCP_NODELAY, 1)
        _ = curl_easy_set_long(handle, CURLOPT_TCP_KEEPALIVE, 1)
        // Streams can only be held up one by one where each has a connection of its own.
        _ = curl_easy_set_long(handle, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1)
        // Paths are what the caller wrote, and signed as such.
        _ = curl_easy_set_long(handle, CURLOPT_PATH_AS_IS, 1)
        _ = curl_easy_set_long(handle, CURLOPT_CONNECTTIMEOUT_MS, connectTimeout.milliseconds)
        if let timeout = request.timeout {
            _ = curl_easy_set_long(handle, CURLOPT_TIMEOUT_MS, max(1, timeout.milliseconds))
        } else {
            // A transfer without a time-out of its own ends when nothing moves for a minute.
            _ = curl_easy_set_long(handle, CURLOPT_LOW_SPEED_LIMIT, 1)
            _ = curl_easy_set_long(handle, CURLOPT_LOW_SPEED_TIME, 60)
        }
        for (option, path) in [
            (CURLOPT_CAINFO, tls.authorities), (CURLOPT_SSLCERT, tls.certificate),
            (CURLOPT_SSLKEY, tls.key),
        ] {
            if let path { _ = curl_easy_set_string(handle, option, path) }
        }
        if request.method == "HEAD" { _ = curl_easy_set_long(handle, CURLOPT_NOBODY, 1) }
        if isLoopback { _ = curl_easy_set_string(handle, CURLOPT_PROXY, "") }
        if request.reach == .publicAddresses { confine(handle) }
        if target.isBulky { _ = curl_easy_set_long(handle, CURLOPT_BUFFERSIZE, 256 << 10) }
        _ = curl_easy_set_pointer(handle, CURLOPT_HEADERDATA, context)
        _ = curl_easy_set_bytes_callback(handle, CURLOPT_HEADERFUNCTION) { bytes, _, count, own in
            CurlExchange.at(own).takeHeader(UnsafeRawBufferPointer(start: bytes, count: count))
            return count
        }
        _ = curl_easy_set_pointer(handle, CURLOPT_WRITEDATA, context)
        _ = curl_easy_set_bytes_callback(handle, CURLOPT_WRITEFUNCTION) { bytes, _, count, own in
            CurlExchange.at(own).take(UnsafeRawBufferPointer(start: bytes, count: count))
        }
    }

    /// A proxy of the environment is not for this machine.
    private var isLoopback: Bool {
        ["http://127.", "http://localhost", "http://[::1]"].contains(where: request.url.hasPrefix)
    }

    private func setBody(_ handle: UnsafeMutableRawPointer) throws(HTTPTransportError) {
        let length: Int64?
        switch try source.open() {
        case .none:
            guard request.method == "POST" || request.method == "PUT" else { return }
            _ = curl_easy_set_size(handle, CURLOPT_POSTFIELDSIZE_LARGE, 0)
            _ = curl_easy_set_string(handle, CURLOPT_COPYPOSTFIELDS, "")
            return
        case .small(let data):
            _ = curl_easy_set_size(handle, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(data.count))
            data.withUnsafeBytes { bytes in
                // libcurl copies as many bytes as the line above says.
                _ = curl_easy_set_pointer(
                    handle,
                    CURLOPT_COPYPOSTFIELDS,
                    UnsafeMutableRawPointer(mutating: bytes.baseAddress)
                )
            }
            return
        case .bulky(let known): length = known
        }
        _ = curl_easy_set_long(handle, CURLOPT_UPLOAD, 1)
        _ = curl_easy_set_long(handle, CURLOPT_UPLOAD_BUFFERSIZE, 256 << 10)
        if let length {
            _ = curl_easy_set_size(handle, CURLOPT_INFILESIZE_LARGE, curl_off_t(length))
        }
        let context = Unmanaged.passUnretained(self).toOpaque()
        _ = curl_easy_set_pointer(handle, CURLOPT_READDATA, context)
        _ = curl_easy_set_bytes_callback(handle, CURLOPT_READFUNCTION) { bytes, size, count, own in
            let buffer = UnsafeMutableRawBufferPointer(start: bytes, count: size * count)
            return CurlExchange.at(own).give(buffer)
        }
        // A connection that was kept and is found dead costs a second start.
        _ = curl_easy_set_pointer(handle, CURLOPT_SEEKDATA, context)
        _ = curl_easy_set_seek_callback(handle) { own, offset, _ in
            CurlExchange.at(own).source.rewind(to: Int64(offset))
                ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_CANTSEEK
        }
    }

    private func setHeaders(_ handle: UnsafeMutableRawPointer) throws(HTTPTransportError) {
        for header in request.headers {
            headerList = curl_slist_append(headerList, "\(header.name): \(header.value)")
        }
        if let range = try target.open() {
            headerList = curl_slist_append(headerList, "Range: \(range)")
        }
        if let signature = request.signature {
            try sign(handle, signature)
        } else {
            // Without it libcurl waits a second for a go-ahead before it sends a long body.
            headerList = curl_slist_append(headerList, "Expect:")
        }
        _ = curl_easy_set_headers(handle, headerList)
    }

    private func sign(
        _ handle: UnsafeMutableRawPointer,
        _ signature: AWSSignature
    ) throws(HTTPTransportError) {
        // From 7.87 on libcurl signs the headers that S3 wants to see signed.
        guard curl_version_info(CURLVERSION_FIRST).pointee.version_num >= 0x075700 else {
            throw .other(
                url: request.url,
                reason: "this libcurl cannot sign requests; install 7.87 or later"
            )
        }
        if let token = signature.sessionToken {
            headerList = curl_slist_append(headerList, "x-amz-security-token: \(token)")
        }
        let provider = "aws:amz:\(signature.region):\(signature.service)"
        _ = curl_easy_set_string(handle, CURLOPT_AWS_SIGV4, provider)
        _ = curl_easy_set_string(handle, CURLOPT_USERNAME, signature.accessKey)
        _ = curl_easy_set_string(handle, CURLOPT_PASSWORD, signature.secretKey)
        // An empty header would be signed though it is not sent.
        _ = curl_easy_set_long(handle, CURLOPT_EXPECT_100_TIMEOUT_MS, 1)
    }

    // MARK: - Callbacks

    static func at(_ context: UnsafeMutableRawPointer?) -> CurlExchange {
        guard let context else { preconditionFailure("libcurl passes the context it was given") }
        return Unmanaged<CurlExchange>.fromOpaque(context).takeUnretainedValue()
    }

    private func takeHeader(_ bytes: UnsafeRawBufferPointer) {
        let line = bytes.trimmed
        if line.isEmpty { return finishHeaders() }
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else {
            // A new status line follows an interim answer, whose headers do not count.
            headers = [:]
            return
        }
        let name = String(decoding: line[..<colon], as: UTF8.self).lowercased()
        let value = UnsafeRawBufferPointer(rebasing: line[(colon + 1)...]).trimmed
        headers[name] = String(decoding: value, as: UTF8.self)
    }

    private func finishHeaders() {
        _ = curl_easy_get_long(handle, CURLINFO_RESPONSE_CODE, &status)
        guard status >= 200, case .streaming(let continuation?, let channel) = answer else {
            return
        }
        answer = .streaming(nil, channel)
        let response = HTTPResponse(status: status, headers: headers, body: .init())
        continuation.resume(returning: response)
    }

    private func take(_ bytes: UnsafeRawBufferPointer) -> Int {
        if case .streaming(_, let channel) = answer {
            return channel.offer(bytes) ? bytes.count : Int(CURL_WRITEFUNC_PAUSE)
        }
        do {
            try target.take(bytes, status: status, headers: headers)
            return bytes.count
        } catch {
            failure = error
            // Any other count than that of the bytes ends the exchange.
            return bytes.isEmpty ? 1 : 0
        }
    }

    private func give(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
        do {
            return try source.read(into: buffer) ?? Int(CURL_READFUNC_PAUSE)
        } catch {
            failure = error
            return Int(CURL_READFUNC_ABORT)
        }
    }

    // MARK: - Errors

    private func check(_ code: CURLcode) throws(HTTPTransportError) {
        let url = request.url
        let reason = String(cString: curl_easy_strerror(code))
        switch code {
        case CURLE_OK: break
        case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL: throw .invalidURL(url)
        case CURLE_COULDNT_CONNECT where refused != nil:
            throw .notPublic(url: url, address: refused?.description ?? "")
        case CURLE_COULDNT_CONNECT, CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY,
            CURLE_SSL_CONNECT_ERROR:
            throw .cannotConnect(url: url, reason: reason)
        case CURLE_PEER_FAILED_VERIFICATION: throw .untrusted(url: url, reason: reason)
        case CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_GOT_NOTHING, CURLE_PARTIAL_FILE:
            throw .connectionLost(url: url, reason: reason)
        case CURLE_OPERATION_TIMEDOUT: throw .timedOut(url: url)
        default: throw .other(url: url, reason: reason)
        }
    }
}

extension UnsafeRawBufferPointer {
    /// The bytes without white space at either end.
    fileprivate var trimmed: UnsafeRawBufferPointer {
        guard let first = firstIndex(where: { $0 > 0x20 }),
            let last = lastIndex(where: { $0 > 0x20 })
        else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return UnsafeRawBufferPointer(rebasing: self[first...last])
    }
}

extension Duration {
    /// The duration in whole milliseconds.
    fileprivate var milliseconds: Int {
        Int(components.seconds) * 1000 + Int(components.attoseconds / 1_000_000_000_000_000)
    }
}
