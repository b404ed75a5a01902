import BlobStore
import FarmModel
import FarmStore
import FoundationEssentials
import Postgres
import Testing

@testable import FarmCoordinator

@Suite struct OpenAPITests {
    /// A route as both the router and the description name it.
    private struct Route: Hashable, CustomStringConvertible {
        var method: String
        var path: String
        var access: String

        var description: String { "\(method) \(path) for \(access)" }
    }

    private static let methods = ["get", "put", "post", "patch", "delete", "head"]

    private func declared() throws -> [Route] {
        let folder = FileManager.default.temporaryDirectory.path + "/routes-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        // Nothing connects: a pool does so at its first statement.
        let api = CoordinatorAPI(
            store: FarmStore(pool: PostgresPool(PostgresConfiguration(conninfo: ""))),
            blobs: try FolderBlobStore(folder: folder),
            admin: "a-token-for-tests"
        )
        return CoordinatorAPI.declarations(of: api).map {
            Route(method: $0.method, path: $0.path, access: $0.access.description)
        }
    }

    private func document() throws -> SpecificationValue {
        try SpecificationValue(yaml: CoordinatorAPI.openAPI)
    }

    private func mapping(_ value: SpecificationValue?) throws -> [String: SpecificationValue] {
        guard case .mapping(let entries)? = value else {
            Issue.record("not a mapping")
            return [:]
        }
        return entries
    }

    @Test("every route is described with its role, and nothing else is")
    func routes() throws {
        var described: [Route] = []
        for (path, item) in try mapping(try mapping(document())["paths"]) {
            for (method, operation) in try mapping(item) where Self.methods.contains(method) {
                guard case .string(let access)? = try mapping(operation)["x-role"] else {
                    Issue.record("\(method) \(path) has no x-role")
                    continue
                }
                described.append(Route(method: method.uppercased(), path: path, access: access))
            }
        }
        let declared = try declared()
        #expect(Set(declared).subtracting(described).isEmpty, "not described")
        #expect(Set(described).subtracting(declared).isEmpty, "not there")
        #expect(declared.count == Set(declared).count)
        #expect(declared.count == described.count)
    }

    @Test("everything that the description refers to is in it")
    func references() throws {
        let components = try mapping(try mapping(document())["components"])
        let text = CoordinatorAPI.openAPI
        var count = 0
        for match in text.matches(of: /#\/components\/([A-Za-z]+)\/([A-Za-z0-9]+)/) {
            let kind = String(match.output.1)
            let name = String(match.output.2)
            #expect(try mapping(components[kind])[name] != nil, "\(kind)/\(name)")
            count += 1
        }
        #expect(count > 100)
    }

    @Test("each part of a path is a parameter that is described")
    func parameters() throws {
        let root = try mapping(document())
        let known = try mapping(try mapping(root["components"])["parameters"])
        for (path, item) in try mapping(root["paths"]) {
            let parts = path.matches(of: /\{([a-z0-9]+)\}/).map { String($0.output.1) }
            guard !parts.isEmpty else { continue }
            guard case .list(let parameters)? = try mapping(item)["parameters"] else {
                Issue.record("\(path) has no parameters")
                continue
            }
            let named = try parameters.map { parameter -> String in
                guard case .string(let text)? = try mapping(parameter)["$ref"] else { return "" }
                return String(text.split(separator: "/").last ?? "")
            }
            #expect(named == parts)
            for part in parts { #expect(known[part] != nil) }
        }
    }

    @Test("a message's description names the keys that the message has")
    func keys() throws {
        let samples: [(String, any Encodable)] = [
            ("JobView", Self.job), ("ClaimAnswer", ClaimAnswer(tasks: [])),
            ("HeartbeatRequest", HeartbeatRequest()),
            ("TokenRequest", TokenRequest(owner: "o", expiresInSeconds: 1)),
            ("ProblemDetails", ProblemDetails(.stale, detail: "", problems: [])),
        ]
        let schemas = try mapping(
            try mapping(try mapping(document())["components"])["schemas"]
        )
        for (name, message) in samples {
            let keys = try Self.keys(of: message)
            let schema = try mapping(schemas[name])
            let properties = Set(try mapping(schema["properties"]).keys)
            #expect(keys.subtracting(properties).isEmpty, "\(name)")
            guard case .list(let required)? = schema["required"] else { continue }
            for case .string(let key) in required { #expect(keys.contains(key), "\(name)") }
        }
    }

    private static func keys(of message: some Encodable) throws -> Set<String> {
        guard case .mapping(let entries) = try SpecificationValue(json: FarmJSON.encode(message))
        else { return [] }
        return Set(entries.keys)
    }

    private static let job = JobView(
        id: .random(),
        key: "k",
        name: "n",
        owner: "o",
        state: .pending,
        priority: 50,
        model: "m",
        modelDigest: "d",
        images: ImageTally(),
        createdAt: Date(timeIntervalSince1970: 0),
        startedAt: Date(timeIntervalSince1970: 0),
        finishedAt: nil
    )
}
