import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import TestSupport
import Testing

@testable import FarmCoordinator

@Suite(.database) struct WebPageTests {
    @Test(
        "the page's files are open, and may load nothing from elsewhere",
        arguments: [
            ("/", "text/html; charset=utf-8"), ("/app.js", "text/javascript; charset=utf-8"),
            ("/base.js", "text/javascript; charset=utf-8"),
            ("/style.css", "text/css; charset=utf-8"), ("/icon.svg", "image/svg+xml"),
        ]
    )
    func files(path: String, type: String) async throws {
        try await TestFarm.withAPI { farm in
            let response = try await farm.send(.get, path, headers: [:])
            #expect(response.status == .ok)
            #expect(response.headers[.contentType] == type)
            #expect(response.body.readableBytes > 100)
            let policy = try #require(response.headers[.contentSecurityPolicy])
            #expect(policy.contains("default-src 'none'"))
            #expect(!policy.contains("unsafe"))
            let text = String(buffer: response.body)
            let outside = text.replacing("http://www.w3.org/2000/svg", with: "")
            #expect(!outside.contains("http://"))
            #expect(!outside.contains("https://"))
            #expect(!text.contains("innerHTML"))
            let tag = try #require(response.headers[.eTag])
            let again = try await farm.send(.get, path, headers: [.ifNoneMatch: tag])
            #expect(again.status == .notModified)
        }
    }

    @Test("the page's own files are those that it names")
    func names() async throws {
        try await TestFarm.withAPI { farm in
            let page = String(buffer: try await farm.send(.get, "/", headers: [:]).body)
            let names = page.matches(of: /(?:src|href)="(\/[^"]+)"/).map { String($0.output.1) }
            #expect(Set(names) == ["/icon.svg", "/style.css", "/base.js", "/app.js"])
            #expect(!page.contains("style=\""))
            #expect(!page.contains("onclick"))
        }
    }

    @Test("a session is made by a token and kept in a cookie that scripts and other sites lack")
    func session() async throws {
        try await TestFarm.withAPI { farm in
            let wrong = try await farm.send(
                .post,
                "/v1/session",
                Data(#"{"token": "no-such-token"}"#.utf8),
                headers: [:]
            )
            #expect(wrong.status == .unauthorized)
            let body = Data(#"{"token": "\#(TestFarm.admin)"}"#.utf8)
            let made = try await farm.send(.post, "/v1/session", body, headers: [:])
            #expect(made.status == .ok)
            let cookie = try #require(made.headers[.setCookie])
            #expect(cookie.contains("HttpOnly"))
            #expect(cookie.contains("SameSite=Strict"))
            let pair = try #require(cookie.split(separator: ";").first.map(String.init))
            let headers: HTTPFields = [.cookie: pair]
            let who = try await farm.send(.get, "/v1/session", headers: headers)
            #expect(String(buffer: who.body) == #"{"owner":"admin","role":"admin"}"#)
            let left = try await farm.send(.delete, "/v1/session", headers: headers)
            #expect(left.headers[.setCookie]?.contains("Max-Age=0") == true)
        }
    }

    @Test(
        "a cookie counts for the coordinator's own page alone",
        arguments: [
            (HTTPRequest.Method.get, nil, nil, true), (.get, nil, "same-origin", true),
            (.get, nil, "none", true), (.get, nil, "same-site", false),
            (.get, nil, "cross-site", false), (.post, nil, nil, false),
            (.post, "http://localhost", "same-origin", true),
        ] as [(HTTPRequest.Method, String?, String?, Bool)]
    )
    func cookie(
        method: HTTPRequest.Method,
        origin: String?,
        site: String?,
        counts: Bool
    ) async throws {
        try await TestFarm.withAPI { farm in
            var headers: HTTPFields = [.cookie: "dreamfarm_session=\(TestFarm.admin)"]
            headers[.origin] = origin
            headers[.secFetchSite] = site
            let path = method == .get ? "/v1/jobs" : "/v1/farm/pause"
            let response = try await farm.send(method, path, headers: headers)
            #expect(response.status == (counts ? .ok : .unauthorized))
        }
    }
}
