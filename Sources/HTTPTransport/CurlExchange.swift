import CLibCurl
import FoundationEssentials
import Glibc

/// One request and its answer on one handle; lives on one thread.
final class CurlExchange {
    private let request: HTTPRequest
    private let handle: UnsafeMutableRawPointer
    private let isCancelled: CancellationFlag
    private var headers: [String: String] = [:]
    private var body = Data()
    private var input: Int32 = -1
    private var output: Int32 = -1
    /// What a callback could not do; it outranks libcurl's own code.
    private var failure: HTTPTransportError?

    init(_ request: HTTPRequest, handle: CurlHandle, isCancelled: CancellationFlag) {
        self.request = request
        self.handle = handle.pointer
        self.isCancelled = isCancelled
    }

    deinit {
        if input >= 0 { close(input) }
        if output >= 0 { close(output) }
    }

    /// Runs the exchange to its end, blocking the thread.
    func perform(connectTimeout: Duration) throws -> HTTPResponse {
        guard request.url.hasPrefix("http://") || request.url.hasPrefix("https://") else {
            throw HTTPTransportError.invalidURL(request.url)
        }
        setOptions(connectTimeout)
        try setBody()
        var list: UnsafeMutablePointer<curl_slist>?
        defer { curl_slist_free_all(list) }
        for header in request.headers {
            list = curl_slist_append(list, "\(header.name): \(header.value)")
        }
        // Without it libcurl waits a second for a go-ahead before it sends a long body.
        list = curl_slist_append(list, "Expect:")
        _ = curl_easy_set_headers(handle, list)
        var code = CURLE_OK
        withExtendedLifetime(self) {
            code = curl_easy_perform(handle)
        }
        if let failure { throw failure }
        try check(code)
        return HTTPResponse(status: status, headers: headers, body: body)
    }

    private var status: Int {
        var status = 0
        _ = curl_easy_get_long(handle, CURLINFO_RESPONSE_CODE, &status)
        return status
    }

    // MARK: - Options

    private func setOptions(_ connectTimeout: Duration) {
        let context = Unmanaged.passUnretained(self).toOpaque()
        _ = curl_easy_allow_only_http(handle)
        _ = curl_easy_set_string(handle, CURLOPT_URL, request.url)
        _ = curl_easy_set_string(handle, CURLOPT_CUSTOMREQUEST, request.method)
        _ = curl_easy_set_string(handle, CURLOPT_USERAGENT, "dreamfarm")
        _ = curl_easy_set_long(handle, CURLOPT_NOSIGNAL, 1)
        _ = curl_easy_set_long(handle, CURLOPT_CONNECTTIMEOUT_MS, connectTimeout.milliseconds)
        if let timeout = request.timeout {
            _ = curl_easy_set_long(handle, CURLOPT_TIMEOUT_MS, max(1, timeout.milliseconds))
        } else {
            // A transfer without a time-out of its own ends when nothing moves for a minute.
            _ = curl_easy_set_long(handle, CURLOPT_LOW_SPEED_LIMIT, 1)
            _ = curl_easy_set_long(handle, CURLOPT_LOW_SPEED_TIME, 60)
        }
        if request.method == "HEAD" { _ = curl_easy_set_long(handle, CURLOPT_NOBODY, 1) }
        if isLoopback { _ = curl_easy_set_string(handle, CURLOPT_PROXY, "") }
        _ = curl_easy_set_long(handle, CURLOPT_NOPROGRESS, 0)
        _ = curl_easy_set_pointer(handle, CURLOPT_XFERINFODATA, context)
        _ = curl_easy_set_progress_callback(handle) { context, _, _, _, _ in
            CurlExchange.at(context).isCancelled.isRaised ? 1 : 0
        }
        _ = curl_easy_set_pointer(handle, CURLOPT_HEADERDATA, context)
        _ = curl_easy_set_bytes_callback(handle, CURLOPT_HEADERFUNCTION) {
            bytes,
            _,
            count,
            context in
            CurlExchange.at(context).takeHeader(UnsafeRawBufferPointer(start: bytes, count: count))
            return count
        }
        _ = curl_easy_set_pointer(handle, CURLOPT_WRITEDATA, context)
        _ = curl_easy_set_bytes_callback(handle, CURLOPT_WRITEFUNCTION) {
            bytes,
            _,
            count,
            context in
            CurlExchange.at(context).take(UnsafeRawBufferPointer(start: bytes, count: count))
                ? count : 0
        }
    }

    /// A proxy of the environment is not for this machine.
    private var isLoopback: Bool {
        ["http://127.", "http://localhost", "http://[::1]"].contains(where: request.url.hasPrefix)
    }

    private func setBody() throws(HTTPTransportError) {
        switch request.body {
        case .none:
            if request.method == "POST" || request.method == "PUT" {
                _ = curl_easy_set_size(handle, CURLOPT_POSTFIELDSIZE_LARGE, 0)
                _ = curl_easy_set_string(handle, CURLOPT_COPYPOSTFIELDS, "")
            }
        case .bytes(let data):
            _ = curl_easy_set_size(handle, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(data.count))
            data.withUnsafeBytes { bytes in
                // libcurl copies as many bytes as the line above says.
                _ = curl_easy_set_pointer(
                    handle,
                    CURLOPT_COPYPOSTFIELDS,
                    UnsafeMutableRawPointer(mutating: bytes.baseAddress)
                )
            }
        case .file(let path):
            try setFileBody(path)
        }
    }

    private func setFileBody(_ path: String) throws(HTTPTransportError) {
        input = open(path, O_RDONLY | O_CLOEXEC)
        var status = stat()
        guard input >= 0, fstat(input, &status) == 0 else {
            throw .file(path: path, reason: "cannot be read: \(Self.lastError)")
        }
        _ = curl_easy_set_long(handle, CURLOPT_UPLOAD, 1)
        _ = curl_easy_set_size(handle, CURLOPT_INFILESIZE_LARGE, curl_off_t(status.st_size))
        let context = Unmanaged.passUnretained(self).toOpaque()
        _ = curl_easy_set_pointer(handle, CURLOPT_READDATA, context)
        _ = curl_easy_set_bytes_callback(handle, CURLOPT_READFUNCTION) {
            bytes,
            size,
            count,
            context in
            let length = read(CurlExchange.at(context).input, bytes, size * count)
            return length < 0 ? Int(CURL_READFUNC_ABORT) : length
        }
    }

    // MARK: - Callbacks

    private static func at(_ context: UnsafeMutableRawPointer?) -> CurlExchange {
        guard let context else { preconditionFailure("libcurl passes the context it was given") }
        return Unmanaged<CurlExchange>.fromOpaque(context).takeUnretainedValue()
    }

    private func takeHeader(_ bytes: UnsafeRawBufferPointer) {
        let line = String(decoding: bytes, as: UTF8.self)
        // A new status line follows an interim answer, whose headers do not count.
        if line.hasPrefix("HTTP/") { headers = [:] }
        guard let colon = line.firstIndex(of: ":") else { return }
        let value = line[line.index(after: colon)...]
        headers[line[..<colon].lowercased()] =
            String(value.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
    }

    private func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard case .file(let path) = request.destination, (200..<300).contains(status) else {
            return takeInMemory(bytes)
        }
        if output < 0 {
            output = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        }
        var rest = bytes
        while !rest.isEmpty {
            let length = write(output, rest.baseAddress, rest.count)
            if length < 0, errno == EINTR { continue }
            guard length > 0 else {
                failure = .file(path: path, reason: "cannot be written: \(Self.lastError)")
                return false
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[length...])
        }
        return true
    }

    private func takeInMemory(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let limit = if case .memory(let limit) = request.destination { limit } else { 1 << 20 }
        guard body.count + bytes.count <= limit else {
            failure = .bodyTooLarge(url: request.url, limit: limit)
            return false
        }
        body.append(contentsOf: bytes)
        return true
    }

    // MARK: - Errors

    private func check(_ code: CURLcode) throws {
        let url = request.url
        let reason = String(cString: curl_easy_strerror(code))
        switch code {
        case CURLE_OK: break
        case CURLE_ABORTED_BY_CALLBACK: throw CancellationError()
        case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL:
            throw HTTPTransportError.invalidURL(url)
        case CURLE_COULDNT_CONNECT, CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY:
            throw HTTPTransportError.cannotConnect(url: url, reason: reason)
        case CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_GOT_NOTHING, CURLE_PARTIAL_FILE:
            throw HTTPTransportError.connectionLost(url: url, reason: reason)
        case CURLE_OPERATION_TIMEDOUT: throw HTTPTransportError.timedOut(url: url)
        default: throw HTTPTransportError.other(url: url, reason: reason)
        }
        // An empty body never reaches the callback that creates the file.
        if case .file(let path) = request.destination, output < 0, (200..<300).contains(status) {
            output = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
            guard output >= 0 else {
                throw HTTPTransportError.file(path: path, reason: Self.lastError)
            }
        }
    }

    private static var lastError: String { String(cString: strerror(errno)) }
}

extension Duration {
    /// The duration in whole milliseconds.
    fileprivate var milliseconds: Int {
        Int(components.seconds) * 1000 + Int(components.attoseconds / 1_000_000_000_000_000)
    }
}
