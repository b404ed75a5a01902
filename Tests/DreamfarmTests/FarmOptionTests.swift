import ArgumentParser
import Testing

@testable import dreamfarm

@Suite("Command lines of the farm")
struct FarmOptionTests {
    @Test(
        "what does not make sense is a usage error that says what to give",
        arguments: [
            (["retry", "j"], "--failed"),
            (["retry", "j", "--failed", "--image", "1"], "--failed"),
            (["pause"], "--pool"),
            (["pause", "j", "--farm"], "--farm"),
            (["keep", "j"], "--all"),
            (["keep", "j", "1", "--all"], "--all"),
            (["drop", "j"], "--rest"), (["drop", "j", "3-x"], "3-x"),
            (["download", "j", "--to", "o", "--drafts", "--contact-sheet", "s"], "--drafts"),
            (["prioritize", "j"], "priority"),
            (["prioritize", "j", "101"], "101"),
            (["verify"], "--job"),
            (["verify", "p.png", "--image", "2"], "--image"),
            (["submit", "s.yaml", "--dry-run", "--wait"], "--dry-run"),
            (["submit", "s.yaml", "--key", "no blanks"], "--key"),
            (["cancel", "j", "--mode", "later"], "after-step"),
            (["simulate", "--workers", "0"], "--workers"),
            (["simulate", "--images", "1"], "--images"),
            (["completions", "tcsh"], "fish"),
        ]
    )
    func usage(_ arguments: [String], names word: String) throws {
        let error = #expect(throws: (any Error).self) {
            _ = try Dreamfarm.parseAsRoot(arguments)
        }
        let message = Dreamfarm.fullMessage(for: try #require(error))
        #expect(message.contains(word), "\(message)")
        #expect(Dreamfarm.exitCode(for: try #require(error)) == .validationFailure)
    }

    @Test(
        "what does make sense is read",
        arguments: [
            ["job", "j"], ["job", "show", "j"], ["retry", "j", "--image", "1", "--image", "2"],
            ["pause", "--pool", "day"], ["resume", "--farm"], ["prioritize", "j", "100", "--lift"],
            ["prioritize", "j", "--no-lift"], ["verify", "--job", "j", "--image", "3"],
            ["verify", "a.png", "--job", "j"], ["cancel", "j", "--mode", "now"],
            ["keep", "j", "0", "2-5"], ["keep", "j", "--all"], ["drop", "j", "1,3"],
            ["drop", "j", "--rest"], ["download", "j", "--to", "out", "--drafts"],
            ["models"], ["worker", "drain", "w", "--reason", "hot"], ["blobs", "gc", "--dry-run"],
            ["tokens", "create", "--owner", "a", "--role", "viewer", "--expires", "1h"],
            ["download", "j", "--to", "out"], ["jobs", "--state", "running"],
        ]
    )
    func parses(_ arguments: [String]) throws {
        #expect(throws: Never.self) { _ = try Dreamfarm.parseAsRoot(arguments) }
    }

    @Test(
        "each shell gets a script of its own that knows the commands",
        arguments: ["bash", "zsh", "fish"]
    )
    func completions(shell: String) throws {
        let script = Dreamfarm.completionScript(for: try #require(CompletionShell(rawValue: shell)))
        for word in ["prioritize", "quarantine", "require-runnable"] {
            #expect(script.contains(word), "\(shell): \(word)")
        }
    }
}
