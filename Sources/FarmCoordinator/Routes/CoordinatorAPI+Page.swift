import FarmModel
import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore

extension CoordinatorAPI {
    /// What the page may load: its own files, pictures of this coordinator, and nothing else.
    private static let contentSecurityPolicy = [
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'",
        "connect-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'",
    ].joined(separator: "; ")

    func addPageRoutes(to table: RouteTable) {
        table.on(.get, "/", for: .open) { request, _ in Self.answer(PageFile.index, request) }
        table.on(.get, "/page/{file}", for: .open) { request, context in
            Self.answer(try context.part("file") { PageFile.named[$0] }, request)
        }
        table.on(.get, "/openapi.yaml", for: .token) { _, _ in
            Response(
                status: .ok,
                headers: [.contentType: "application/yaml"],
                body: ResponseBody(byteBuffer: ByteBuffer(bytes: PackageResources.openapi_yaml))
            )
        }
    }

    private static func answer(_ file: PageFile, _ request: Request) -> Response {
        let headers: HTTPFields = [
            .contentType: file.type, .eTag: file.tag, .cacheControl: "no-cache",
            .contentSecurityPolicy: contentSecurityPolicy,
            .contentTypeOptions: "nosniff", .referrerPolicy: "no-referrer",
        ]
        guard request.headers[.ifNoneMatch] != file.tag else {
            return Response(status: .notModified, headers: headers)
        }
        return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: file.body))
    }

    /// The description of the API, as it is served.
    package static var openAPI: String {
        String(decoding: PackageResources.openapi_yaml, as: UTF8.self)
    }

    // MARK: - Session

    /// How long the page stays signed in, in seconds.
    private static let sessionAge = 30 * 24 * 3600
    /// The longest token that fits into a cookie with its name and attributes, in bytes.
    private static let longestOfCookie = 3800

    func addSessionRoutes(to table: RouteTable) {
        table.on(.get, "/v1/session", for: .token) { _, context in
            let caller = try context.bearer()
            return try Response(message: SessionView(owner: caller.owner, role: caller.role))
        }
        // Open to everyone: what is checked is the token in the body.
        table.on(.post, "/v1/session", for: .open) { request, context in
            let token = try await request.message(SessionRequest.self).token
            guard token.utf8.allSatisfy(Self.isOfCookie),
                let caller = try await gate.caller(
                    bearing: token,
                    from: context.channel.remoteAddress?.ipAddress
                ),
                caller.binding == nil
            else { throw CoordinatorProblem(.unauthorized, "the token is not known") }
            guard token.utf8.count <= Self.longestOfCookie else {
                throw CoordinatorProblem(
                    .tooLarge,
                    "the token has \(token.utf8.count) bytes, and a page keeps \(Self.longestOfCookie); "
                        + "have the identity provider put fewer claims into it"
                )
            }
            // It ends with its token, where that says when.
            let age = caller.endsAt.map { min($0.timeIntervalSinceNow, Double(Self.sessionAge)) }
            var response = try Response(
                message: SessionView(owner: caller.owner, role: caller.role)
            )
            response.setCookie(cookie(token, age: age.map { Int($0) } ?? Self.sessionAge))
            return response
        }
        table.on(.delete, "/v1/session", for: .open) { _, _ in
            var response = Response(status: .noContent)
            response.setCookie(cookie("", age: 0))
            return response
        }
    }

    /// Whether a byte may stand in a cookie's value (RFC 6265, section 4.1.1).
    private static func isOfCookie(_ byte: UInt8) -> Bool {
        (0x21...0x7e).contains(byte) && !"\",;\\".utf8.contains(byte)
    }

    private func cookie(_ value: String, age: Int) -> Cookie {
        Cookie(
            name: AccessMiddleware.cookie,
            value: value,
            maxAge: age,
            path: "/",
            secure: settings.isEncrypted,
            httpOnly: true,
            sameSite: .strict
        )
    }
}
