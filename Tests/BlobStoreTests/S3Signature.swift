import Crypto
import FoundationEssentials
import HTTPTypes
import Hummingbird

/// Checks a request's signature in the way that Amazon describes, version 4, from what arrived.
struct S3Signature {
    let secretKey: String
    let region: String
    let sessionToken: String?

    /// Why the request is refused, or nil where its signature is right.
    func problem(of request: Request, body: Data) -> String? {
        guard let authorization = request.headers[.authorization],
            let parts = Self.parts(of: authorization), let date = request["x-amz-date"],
            let digest = request["x-amz-content-sha256"], parts.credential.count == 5
        else { return "AccessDenied" }
        let scope = parts.credential.dropFirst().joined(separator: "/")
        guard scope == "\(date.prefix(8))/\(region)/s3/aws4_request" else {
            return "AuthorizationHeaderMalformed"
        }
        guard request["x-amz-security-token"] == sessionToken else { return "InvalidToken" }
        let amazon = request.headers.map(\.name.canonicalName).filter { $0.hasPrefix("x-amz-") }
        guard Set(amazon + ["host"]).isSubset(of: parts.headers) else { return "AccessDenied" }
        let canonical = canonicalRequest(request, signing: parts.headers, digest)
        let text = ["AWS4-HMAC-SHA256", date, scope, Self.digest(Data(canonical.utf8))]
        let key = ["\(date.prefix(8))", region, "s3", "aws4_request"].reduce(
            Data("AWS4\(secretKey)".utf8)
        ) { Self.code($1, key: $0) }
        let signature = Self.hexadecimal(Self.code(text.joined(separator: "\n"), key: key))
        guard signature == parts.signature else { return "SignatureDoesNotMatch" }
        return digest == Self.digest(body) ? nil : "XAmzContentSHA256Mismatch"
    }

    private func canonicalRequest(
        _ request: Request,
        signing names: [String],
        _ digest: String
    ) -> String {
        let target = request.head.path ?? ""
        let halves = target.split(separator: "?", maxSplits: 1).map(String.init)
        let path = Self.encoded(Self.decoded(halves[0]), keeping: ["/"])
        let query = S3Query(target).pairs.map {
            "\(Self.encoded($0.name))=\(Self.encoded($0.value))"
        }
        let headers = names.map { name in
            let value = name == "host" ? request.head.authority : request[name]
            return "\(name):\(value ?? "(not sent)")\n"
        }
        return [
            request.method.rawValue, path, query.sorted().joined(separator: "&"),
            headers.joined(), names.joined(separator: ";"), digest,
        ].joined(separator: "\n")
    }

    private static func parts(
        of authorization: String
    ) -> (credential: [Substring], headers: [String], signature: String)? {
        let words = authorization.split { $0 == " " || $0 == "," }
        guard words.count == 4, words[0] == "AWS4-HMAC-SHA256" else { return nil }
        let values = words.dropFirst().map { $0.split(separator: "=", maxSplits: 1).last ?? "" }
        return (
            values[0].split(separator: "/"), values[1].split(separator: ";").map(String.init),
            String(values[2])
        )
    }

    static func digest(_ data: Data) -> String { hexadecimal(SHA256.hash(data: data)) }

    private static func code(_ text: String, key: Data) -> Data {
        Data(HMAC<SHA256>.authenticationCode(for: Data(text.utf8), using: .init(data: key)))
    }

    private static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    static func decoded(_ text: some StringProtocol) -> String {
        var bytes: [UInt8] = []
        var rest = Substring(text)
        while let first = rest.utf8.first {
            if first == UInt8(ascii: "%"), let byte = UInt8(rest.dropFirst().prefix(2), radix: 16) {
                bytes.append(byte)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(first)
                rest = Substring(rest.utf8.dropFirst())
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func encoded(_ text: String, keeping kept: Set<Character> = []) -> String {
        let plain = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
        return text.map { character in
            if plain.contains(character) || kept.contains(character) { return String(character) }
            return character.utf8.map { byte in
                (byte < 16 ? "%0" : "%") + String(byte, radix: 16, uppercase: true)
            }.joined()
        }.joined()
    }
}

/// The query of a request's target.
struct S3Query {
    let pairs: [(name: String, value: String)]

    init(_ target: String) {
        let halves = target.split(separator: "?", maxSplits: 1)
        let query = halves.count == 2 ? halves[1] : ""
        pairs = query.split(separator: "&").map { pair in
            let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (
                S3Signature.decoded(sides[0]), sides.count == 2 ? S3Signature.decoded(sides[1]) : ""
            )
        }
    }

    subscript(_ name: String) -> String? { pairs.first { $0.name == name }?.value }
}

extension Request {
    /// The value of a header.
    subscript(_ name: String) -> String? {
        HTTPField.Name(name).flatMap { headers[$0] }
    }
}
