import BlobStore
import FarmModel
import FarmStore
import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore

extension CoordinatorAPI {
    /// The largest blob that is accepted, in bytes: a shard of a published model fits.
    static let largestBlob: Int64 = 64 << 30
    /// The largest picture or checkpoint of a worker that is accepted, in bytes.
    static let largestPicture: Int64 = 512 << 20
    /// Up to how many bytes a blob is read before its answer begins: a checkpoint of 1024×1024 fits.
    private static let shortBlob: Int64 = 2 << 20

    func addBlobRoutes(to table: RouteTable) {
        table.on(.post, "/v1/blobs/missing", for: .workersAnd(.submitter)) { request, context in
            let list = try await request.message(BlobList.self, limit: 16 << 20)
            let missing = try await missing(among: list.digests, for: context.visibleOwner())
            return try Response(message: BlobList(digests: missing))
        }
        table.on(.put, "/v1/blobs/{sha256}", for: .workersAnd(.submitter)) { request, context in
            let digest = try context.part("sha256", BlobDigest.init(rawValue:))
            let caller = try context.bearer()
            let holder = caller.role == .worker ? nil : caller.owner
            let length = request.headers[.contentLength].flatMap { Int64($0) }
            if let holder { try await checkRoom(for: digest, size: length, of: holder) }
            let isNew = try await blobs.size(of: digest) == nil
            let start = ContinuousClock.now
            let size = try await receive(request, expecting: digest, limit: Self.largestBlob).size
            // Who had a blob that was removed since has not shown this one.
            if isNew {
                try await store.removeHolders(of: digest, olderThan: ContinuousClock.now - start)
            }
            if holder != nil { try await confirm(context) }
            if let holder, try await !store.addHolder(holder, of: digest, size: size) {
                // Others were stored while this one came.
                try await checkRoom(for: digest, size: size, of: holder)
                throw CoordinatorProblem(
                    .quotaExceeded,
                    "the owner '\(holder)' had no room for it; try again"
                )
            }
            return Response(status: .created)
        }
        table.on(.get, "/v1/blobs/{sha256}", query: ["fit"], for: .joiningOr(.token)) {
            request,
            context in
            let digest = try await readableBlob(context)
            if let side = try Self.side(request) {
                return try await thumbnail(of: digest, fitting: side, request)
            }
            return try await content(of: digest, type: "application/octet-stream", request)
        }
        table.on(.head, "/v1/blobs/{sha256}", for: .token) { _, context in
            let digest = try await readableBlob(context)
            guard let size = try await blobs.size(of: digest) else {
                return Response(status: .notFound)
            }
            var response = Response(status: .ok)
            response.headers[.contentLength] = String(size)
            response.headers[.acceptRanges] = "bytes"
            return response
        }
        table.on(.post, "/v1/blobs/sweep", query: ["dry_run"], for: .least(.operator)) {
            request,
            context in
            let isDryRun = try request.flag("dry_run")
            guard let view = try await sweep.run(isDryRun: isDryRun) else {
                throw CoordinatorProblem(
                    .wrongState,
                    "a backup or another sweep is under way; try again when it is over"
                )
            }
            if !isDryRun {
                try await store.recordChange(
                    "blobs.swept",
                    of: "blobs",
                    by: context.bearer().owner,
                    ["removed": String(view.removed), "bytes": String(view.removedBytes)]
                )
            }
            return try Response(message: view)
        }
    }

    // MARK: - Owners

    /// Refuses a blob for which its owner's quota has no room; what it has sent before takes none.
    private func checkRoom(
        for digest: BlobDigest,
        size: Int64?,
        of owner: String
    ) async throws {
        guard let shortage = try await store.shortage(for: digest, size: size, of: owner) else {
            return
        }
        throw CoordinatorProblem(
            .quotaExceeded,
            (size.map { "\(ByteCount.text($0)) are too many: " } ?? "") + shortage.sentence
        )
    }

    /// Which blobs someone has to send: those that the store lacks, and those that an owner has not
    /// shown that it has, whether they are there or not.
    ///
    /// - Parameters:
    ///   - digests: The blobs.
    ///   - owner: Who asks; nil for who sees everything.
    /// - Returns: Those to be sent, in the order in which they were asked for.
    /// - Throws: What the stores throw.
    func missing(
        among digests: [BlobDigest],
        for owner: String?
    ) async throws -> [BlobDigest] {
        guard let owner else { return try await blobs.missing(among: digests) }
        let held = try await store.held(by: owner, among: digests)
        let gone = Set(try await blobs.missing(among: digests.filter(held.contains)))
        return digests.filter { !held.contains($0) || gone.contains($0) }
    }

    /// The blob that the path names, if the caller may know of it.
    private func readableBlob(_ context: Context) async throws -> BlobDigest {
        let digest = try context.part("sha256", BlobDigest.init(rawValue:))
        if try context.bearer().isJoining {
            guard try await store.isModelFile(digest) else {
                throw CoordinatorProblem.missingBlob(digest)
            }
            return digest
        }
        guard let owner = try context.visibleOwner() else { return digest }
        guard try await store.mayRead(digest, owner: owner) else {
            throw CoordinatorProblem.missingBlob(digest)
        }
        return digest
    }

    // MARK: - Streams

    /// Stores a request's body as it comes.
    func receive(
        _ request: Request,
        expecting digest: BlobDigest? = nil,
        limit: Int64
    ) async throws -> StoredBlob {
        if let text = request.headers[.contentLength], let length = Int64(text), length > limit {
            throw CoordinatorProblem(.tooLarge, "the body is longer than \(limit) bytes")
        }
        try await reserve.check()
        return try await blobs.store(
            request.body.map { Data($0.readableBytesView) },
            expecting: digest,
            limit: limit
        )
    }

    /// Streams a blob out of the store, or the part of it that the request asks for.
    ///
    /// The address of a blob is its content, so that a reader may keep it for ever.
    func content(
        of digest: BlobDigest,
        type: String,
        _ request: Request
    ) async throws -> Response {
        let tag = "\"\(digest)\""
        var headers: HTTPFields = [
            .contentType: type, .eTag: tag, .acceptRanges: "bytes",
            .cacheControl: "private, max-age=31536000, immutable",
        ]
        if request.headers[.ifNoneMatch] == tag {
            return Response(status: .notModified, headers: headers)
        }
        do {
            guard let range = try await range(of: digest, request, tag) else {
                let content = try await blobs.open(digest)
                let body = try await Self.body(of: content)
                return Response(status: .ok, headers: headers, body: body)
            }
            let content = try await blobs.open(digest, range: range)
            headers[.contentRange] =
                "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(content.size)"
            return Response(status: .partialContent, headers: headers, body: ResponseBody(content))
        } catch let error as BlobStoreError where error == .missing(digest) {
            throw CoordinatorProblem.missingBlob(digest)
        } catch BlobStoreError.damaged {
            throw CoordinatorProblem(.notFound, "the blob \(digest) is damaged; upload it again")
        }
    }

    /// A whole blob as a body: a short one is verified first, so that its damage can be told; that
    /// of a long one breaks the answer off.
    private static func body(of content: BlobContent) async throws -> ResponseBody {
        guard content.size <= shortBlob else { return ResponseBody(content) }
        var bytes = ByteBuffer()
        for try await chunk in content { bytes.writeBytes(chunk) }
        return ResponseBody(byteBuffer: bytes)
    }

    /// The bytes that a request asks for; nil for all of them, also where it asks for several parts.
    private func range(
        of digest: BlobDigest,
        _ request: Request,
        _ tag: String
    ) async throws -> Range<Int64>? {
        guard let text = request.headers[.range], request.headers[.ifRange] ?? tag == tag,
            let size = try await blobs.size(of: digest),
            let range = ByteRange.parse(text, size: size)
        else { return nil }
        guard !range.isEmpty else {
            throw CoordinatorProblem(.badRange, "the blob has \(size) bytes; ask for some of them")
        }
        return range
    }
}

extension CoordinatorProblem {
    /// A blob that is not there, or not for the caller to know of: the answers are the same.
    fileprivate static func missingBlob(_ digest: BlobDigest) -> CoordinatorProblem {
        CoordinatorProblem(.notFound, "the blob \(digest) is not in the store")
    }
}

/// A part of a body as `Range` asks for it (RFC 9110, section 14.2).
enum ByteRange {
    /// Reads one range of bytes, or returns nil for anything else, which is then ignored.
    ///
    /// - Parameters:
    ///   - text: The header's value.
    ///   - size: How many bytes there are.
    /// - Returns: The bytes; none where the range begins behind the last one.
    static func parse(_ text: String, size: Int64) -> Range<Int64>? {
        guard text.hasPrefix("bytes="), !text.contains(",") else { return nil }
        let parts = text.dropFirst(6).split(
            separator: "-",
            maxSplits: 1,
            omittingEmptySubsequences: false
        )
        guard parts.count == 2 else { return nil }
        if parts[0].isEmpty {
            guard let length = Int64(parts[1]), length >= 0 else { return nil }
            return max(0, size - length)..<size
        }
        guard let first = Int64(parts[0]), first >= 0 else { return nil }
        guard first < size else { return size..<size }
        if parts[1].isEmpty { return first..<size }
        guard let last = Int64(parts[1]), last >= first else { return nil }
        return first..<min(last, size - 1) + 1
    }
}

extension ResponseBody {
    /// A blob's bytes as they are read.
    init(_ content: BlobContent) {
        self.init(contentLength: Int(content.length)) { writer in
            for try await chunk in content { try await writer.write(ByteBuffer(bytes: chunk)) }
            try await writer.finish(nil)
        }
    }
}
