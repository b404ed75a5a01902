import FoundationEssentials
import Glibc

/// Where the bytes of a request's body come from while it is sent.
struct HTTPBodySource: ~Copyable {
    /// How a body is given to libcurl.
    enum Kind {
        case none
        case small(Data)
        case bulky(length: Int64?)
    }

    private let body: HTTPBody
    private let channel: SendingChannel?
    private var descriptor: Int32 = -1
    private var position = 0

    init(_ body: HTTPBody, _ channel: SendingChannel?) {
        self.body = body
        self.channel = channel
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Makes ready to read, and says how.
    mutating func open() throws(HTTPTransportError) -> Kind {
        switch body {
        case .none: return .none
        case .bytes(let data):
            // libcurl copies a small body; a large one is read as it is sent.
            return data.count <= 64 << 10 ? .small(data) : .bulky(length: Int64(data.count))
        case .file(let path):
            descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
            var status = stat()
            guard descriptor >= 0, fstat(descriptor, &status) == 0 else {
                throw .lastError(of: path, "cannot be read")
            }
            return .bulky(length: Int64(status.st_size))
        case .stream(let length, _): return .bulky(length: length)
        }
    }

    /// Fills `buffer` and returns how many bytes it got: 0 at the end, nil where none are there yet.
    mutating func read(
        into buffer: UnsafeMutableRawBufferPointer
    ) throws(HTTPTransportError) -> Int? {
        switch body {
        case .none: return 0
        case .bytes(let data):
            let rest = data.dropFirst(position)
            let count = rest.copyBytes(to: buffer)
            position += count
            return count
        case .file(let path):
            while true {
                let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
                if count < 0, errno == EINTR { continue }
                guard count >= 0 else { throw .lastError(of: path, "cannot be read") }
                return count
            }
        case .stream: return channel?.read(into: buffer) ?? nil
        }
    }

    /// Goes back to `offset`, or returns false where that cannot be.
    mutating func rewind(to offset: Int64) -> Bool {
        switch body {
        case .none: return true
        case .bytes:
            position = Int(offset)
            return true
        case .file: return lseek(descriptor, Int(offset), SEEK_SET) == Int(offset)
        case .stream: return false
        }
    }
}

/// Where the bytes of an answer's body go while it is received.
struct HTTPBodyTarget: ~Copyable {
    private let destination: HTTPDestination
    private let url: String
    private var memory = Data()
    private var descriptor: Int32 = -1
    /// How many bytes the file had when the request was made.
    private var start: Int64 = 0

    init(_ destination: HTTPDestination, url: String) {
        self.destination = destination
        self.url = url
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Whether much may come.
    var isBulky: Bool { path != nil }

    private var path: String? {
        switch destination {
        case .memory: nil
        case .file(let path), .resumedFile(let path): path
        }
    }

    /// Makes ready to write, and returns the range to ask for, if not all is wanted.
    mutating func open() throws(HTTPTransportError) -> String? {
        guard case .resumedFile(let path) = destination else { return nil }
        var status = stat()
        guard stat(path, &status) == 0, status.st_size > 0 else { return nil }
        start = Int64(status.st_size)
        return "bytes=\(start)-"
    }

    /// Writes the next bytes of an answer with `status`.
    mutating func take(
        _ bytes: UnsafeRawBufferPointer,
        status: Int,
        headers: [String: String]
    ) throws(HTTPTransportError) {
        guard let path, (200..<300).contains(status) else { return try keep(bytes) }
        if descriptor < 0 {
            let isRest = status == 206
            if isRest, headers["content-range"]?.hasPrefix("bytes \(start)-") != true {
                throw .other(url: url, reason: "answered with another part than was asked for")
            }
            try openFile(path, appending: isRest)
        }
        var rest = bytes
        while !rest.isEmpty {
            let length = write(descriptor, rest.baseAddress, rest.count)
            if length < 0, errno == EINTR { continue }
            guard length > 0 else { throw .lastError(of: path, "cannot be written") }
            rest = UnsafeRawBufferPointer(rebasing: rest[length...])
        }
    }

    /// The body in memory, when the answer is complete.
    mutating func finish(_ status: Int) throws(HTTPTransportError) -> Data {
        // An empty body never reaches the callback that creates the file.
        if let path, descriptor < 0, (200..<300).contains(status) {
            try openFile(path, appending: status == 206)
        }
        return memory
    }

    private mutating func openFile(
        _ path: String,
        appending: Bool
    ) throws(HTTPTransportError) {
        let flags = O_WRONLY | O_CREAT | O_CLOEXEC | (appending ? O_APPEND : O_TRUNC)
        descriptor = Glibc.open(path, flags, 0o644)
        guard descriptor >= 0 else { throw .lastError(of: path, "cannot be written") }
    }

    private mutating func keep(_ bytes: UnsafeRawBufferPointer) throws(HTTPTransportError) {
        let limit = if case .memory(let limit) = destination { limit } else { 1 << 20 }
        guard memory.count + bytes.count <= limit else {
            throw .bodyTooLarge(url: url, limit: limit)
        }
        memory.append(contentsOf: bytes)
    }
}

extension HTTPTransportError {
    /// What `errno` says about the file at `path`.
    fileprivate static func lastError(of path: String, _ action: String) -> HTTPTransportError {
        .file(path: path, reason: "\(action): \(String(cString: strerror(errno)))")
    }
}
