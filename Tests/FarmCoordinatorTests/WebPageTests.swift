import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import TestSupport
import Testing

@testable import FarmCoordinator

@Suite(.database) struct WebPageTests {
    @Test("the page's files are open, and may load nothing from elsewhere")
    func files() async throws {
        try await TestFarm.withAPI { farm in
            let named = PageFile.all.map { ("/page/\($0.name)", $0.type) }
            for (path, type) in [("/", PageFile.index.type)] + named {
                let response = try await farm.send(.get, path, headers: [:])
                #expect(response.status == .ok, "\(path)")
                #expect(response.headers[.contentType] == type)
                #expect(response.body.readableBytes > 100)
                let policy = try #require(response.headers[.contentSecurityPolicy])
                #expect(policy.contains("default-src 'none'"))
                #expect(!policy.contains("unsafe"))
                let text = String(buffer: response.body)
                let outside = text.replacing("http://www.w3.org/2000/svg", with: "")
                #expect(!outside.contains("http://"), "\(path)")
                #expect(!outside.contains("https://"), "\(path)")
                #expect(!text.contains("innerHTML"), "\(path)")
                let tag = try #require(response.headers[.eTag])
                let again = try await farm.send(.get, path, headers: [.ifNoneMatch: tag])
                #expect(again.status == .notModified)
            }
            #expect(try await farm.send(.get, "/page/none.js", headers: [:]).status == .notFound)
        }
    }

    @Test("the files that are served are those that the page and its scripts name, and no others")
    func names() async throws {
        try await TestFarm.withAPI { farm in
            let page = String(buffer: try await farm.send(.get, "/", headers: [:]).body)
            var names = Set(
                page.matches(of: /(?:src|href)="\/page\/([^"]+)"/).map { String($0.output.1) }
            )
            for file in PageFile.all where file.name.hasSuffix(".js") {
                let text = String(buffer: file.body)
                names.formUnion(
                    text.matches(of: /from "\.\/([^"]+)"/).map { String($0.output.1) }
                )
            }
            #expect(names == Set(PageFile.all.map(\.name)))
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
