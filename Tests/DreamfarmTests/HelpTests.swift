import ArgumentParser
import FarmModel
import Foundation
import Testing

@testable import dreamfarm

@Suite("Help of the command")
struct HelpTests {
    /// A command as the library describes it.
    private struct Command: Decodable {
        struct Argument: Decodable {
            var abstract: String?
            var valueName: String?
        }

        var commandName: String
        var abstract: String?
        var arguments: [Argument]?
        var subcommands: [Command]?

        /// The command, its subcommands, and theirs.
        var all: [Command] { [self] + (subcommands ?? []).flatMap(\.all) }
    }

    private struct Description: Decodable {
        var command: Command
    }

    @Test("every command and every option says what it is for")
    func everything() throws {
        let data = Data(Dreamfarm._dumpHelp().utf8)
        let commands = try JSONDecoder().decode(Description.self, from: data).command.all
        #expect(commands.count > 10)
        for command in commands {
            #expect(command.abstract?.isEmpty == false, "\(command.commandName)")
            for argument in command.arguments ?? [] where command.commandName != "help" {
                let name = "\(command.commandName) \(argument.valueName ?? "")"
                #expect(argument.abstract?.isEmpty == false, "\(name)")
            }
        }
    }

    @Test("--version prints the version alone")
    func version() throws {
        let request = #expect(throws: (any Error).self) {
            _ = try Dreamfarm.parseAsRoot(["--version"])
        }
        let error = try #require(request)
        #expect(Dreamfarm.fullMessage(for: error) == FarmSettings.version)
        #expect(Dreamfarm.exitCode(for: error) == .success)
    }
}
