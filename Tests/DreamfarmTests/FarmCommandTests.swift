import FarmClient
import FarmModel
import Testing

@testable import dreamfarm

@Suite("What the commands of the farm say and take for given")
struct FarmCommandTests {
    @Test("every problem of a job is a line of its own")
    func problems() throws {
        let error = #expect(throws: JobSpecificationError.self) {
            _ = try JobSpecification(parsing: "parameters: {prompt: a, sed: 1}\npriority: 900")
        }
        let lines = CommandExit.problems(of: try #require(error))
        #expect(lines.count == 2)
        #expect(lines.allSatisfy { !$0.contains("\n") })
        #expect(lines.contains { $0.hasPrefix("parameters.sed") && $0.contains("'seed'") })
        #expect(lines.contains { $0.hasPrefix("priority") && $0.contains("from 0 to 100") })
        let other = FarmClientError.noToken(path: "/none/token")
        #expect(CommandExit.problems(of: other) == ["\(other)"])
    }

    @Test(
        "the data folder is the one given, else the environment's, else the user's",
        arguments: [
            ("/given", ["DREAMFARM_DATA_DIR": "/set", "HOME": "/home/a"], false, "/given"),
            (nil, ["DREAMFARM_DATA_DIR": "/set", "HOME": "/home/a"], true, "/set"),
            (nil, ["HOME": "/home/a"], false, "/home/a/.local/share/dreamfarm"),
            (nil, ["HOME": "/root"], true, "/var/lib/dreamfarm"),
        ] as [(String?, [String: String], Bool, String)]
    )
    func dataFolder(
        given: String?,
        environment: [String: String],
        isRoot: Bool,
        expected: String
    ) {
        let folder = FarmSettings.dataDirectory(given, environment: environment, isRoot: isRoot)
        #expect(folder == expected)
    }

    @Test("a client's address is the one given, else the environment's, else this machine's")
    func address() throws {
        func address(_ given: String?, _ environment: [String: String]) throws -> String {
            try CoordinatorClient(
                coordinator: given,
                token: "t",
                dataDirectory: "/none",
                environment: environment
            ).coordinator
        }
        let environment = ["DREAMFARM_COORDINATOR": "http://b:1"]
        #expect(try address("http://a:1/", environment) == "http://a:1")
        #expect(try address(nil, environment) == "http://b:1")
        #expect(try address(nil, [:]) == FarmSettings.coordinator)
        #expect(throws: FarmClientError.self) {
            _ = try CoordinatorClient(
                coordinator: nil,
                token: nil,
                dataDirectory: "/none",
                environment: [:]
            )
        }
    }
}
