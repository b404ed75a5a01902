import FarmModel
import Foundation
import Migrations
import Testing

/// An enum of states as the documents and the schema have to restate it.
struct StateMachine: Sendable, CustomTestStringConvertible {
    /// The heading of its section.
    let heading: String
    /// The table that holds it.
    let table: String
    let states: [String]
    /// Which states are final; nil where none is.
    let finals: [String]?
    /// Every legal move, as the drawing writes it.
    let moves: [String]

    var testDescription: String { heading }

    static let all = [
        StateMachine("Task", TaskState.self, finals: TaskState.allCases.filter(\.isFinal)) {
            $0.state(after: $1 as TaskEvent)
        },
        StateMachine("Image", ImageState.self, finals: ImageState.allCases.filter(\.isFinal)) {
            $0.state(after: $1 as ImageEvent)
        },
        StateMachine("Job", JobState.self, finals: JobState.allCases.filter(\.isFinal)) {
            $0.state(after: $1 as JobEvent)
        },
        StateMachine("Worker", WorkerState.self, finals: nil) {
            $0.state(after: $1 as WorkerEvent)
        },
    ]

    private init<State, Event>(
        _ heading: String,
        _: State.Type,
        finals: [State]?,
        next: (State, Event) -> State?
    )
    where
        State: RawRepresentable<String> & CaseIterable,
        Event: RawRepresentable<String> & CaseIterable
    {
        self.heading = heading
        table = heading.lowercased()
        states = State.allCases.map(\.rawValue)
        self.finals = finals?.map(\.rawValue)
        moves = State.allCases.flatMap { state in
            Event.allCases.compactMap { event in
                next(state, event).map { "\(state.rawValue) --> \($0.rawValue): \(event.rawValue)" }
            }
        }
    }
}

@Suite("docs/states.md and the schema restate the states")
struct StateDocumentTests {
    /// The statement that makes a table, in the text of all migrations.
    private func statement(making table: String) throws -> String {
        let schema = Migrations.all.map(\.sql).joined(separator: "\n")
        let parts = schema.split(separator: "CREATE TABLE \(table) (")
        let statement = try #require(parts.count == 2 ? parts.last : nil)
        return String(try #require(statement.split(separator: "\n);").first))
    }

    /// What stands in quotes in the parentheses behind the first `key IN` after `start`.
    private func words(_ key: String, after start: String, in statement: String) throws -> [String]
    {
        let tail = try #require(statement.range(of: start)).upperBound
        let list = try #require(
            statement.range(of: "\(key) IN (", range: tail..<statement.endIndex)
        )
        let end = try #require(
            statement.range(of: ")", range: list.upperBound..<statement.endIndex)
        )
        return statement[list.upperBound..<end.lowerBound].split(separator: ",").map {
            $0.trimmingCharacters(in: CharacterSet(charactersIn: " '\n"))
        }
    }

    @Test("every legal move is drawn, and no other", arguments: StateMachine.all)
    func drawing(machine: StateMachine) throws {
        let lines = try Document("states.md").section(machine.heading).split(separator: "\n")
            .map { $0.trimmingCharacters(in: .whitespaces) }.filter { $0.contains("-->") }
        let (starts, moves) = (lines.filter { $0.hasPrefix("[*]") }, lines.dropFirst())
        #expect(moves.sorted() == machine.moves.sorted())
        let column = try statement(making: machine.table)
        let start = try #require(starts.first?.split(separator: " ").last)
        #expect(starts.count == 1 && column.contains("state text NOT NULL DEFAULT '\(start)'"))
    }

    @Test("every state is explained, and whether it is final", arguments: StateMachine.all)
    func explanation(machine: StateMachine) throws {
        let rows = try Document("states.md").table(machine.heading)
        #expect(rows.map { $0[0].codes } == machine.states.map { [$0] })
        guard let finals = machine.finals else { return }
        #expect(rows.map { $0[2] } == machine.states.map { finals.contains($0) ? "yes" : "no" })
    }

    @Test("the schema takes every state, and no other", arguments: StateMachine.all)
    func schema(machine: StateMachine) throws {
        let statement = try statement(making: machine.table)
        #expect(try words("state", after: "state text", in: statement) == machine.states)
        guard let finals = machine.finals, statement.contains("_finished_when_final") else {
            return
        }
        #expect(try words("state", after: "_finished_when_final", in: statement) == finals)
    }

    @Test("the outcomes of an attempt are the schema's")
    func outcomes() throws {
        let section = try Document("states.md").section("Attempt")
        let outcomes = try words("outcome", after: "outcome text", in: statement(making: "attempt"))
        #expect(section.codes == outcomes && outcomes.count == 5)
    }

    @Test("what each class of failure does to its task is told")
    func failures() throws {
        let section = try Document("states.md").section("Task")
        for failure in FailureClass.allCases {
            #expect(section.codes.contains(failure.rawValue))
        }
    }
}
