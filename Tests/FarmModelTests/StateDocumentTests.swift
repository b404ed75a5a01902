import FarmModel
import Foundation
import Migrations
import Testing

/// An enum of states as the documents and the schema have to restate it.
struct StateMachine: Sendable, CustomTestStringConvertible {
    /// The heading of its section.
    let heading: String
    /// The table that holds it.
    var table: String
    let states: [String]
    /// The states that another row decides, so that no row holds them.
    let derived: [String]
    /// Which states are final; nil where none is.
    let finals: [String]?
    /// Every legal move, as the drawing writes it.
    let moves: [String]

    var testDescription: String { heading }

    static let all = [
        StateMachine(
            "Task",
            finals: TaskState.allCases.filter(\.isFinal),
            stored: TaskState.storedCases
        ) {
            $0.state(after: $1 as TaskEvent)
        },
        StateMachine(
            "Image",
            finals: ImageState.allCases.filter(\.isFinal),
            stored: ImageState.storedCases
        ) {
            $0.state(after: $1 as ImageEvent)
        },
        StateMachine(
            "Job",
            finals: JobState.allCases.filter(\.isFinal),
            stored: JobState.storedCases
        ) {
            $0.state(after: $1 as JobEvent)
        },
        StateMachine("Worker", finals: nil, stored: WorkerState.allCases) {
            $0.state(after: $1 as WorkerEvent)
        },
        group, audit,
    ]

    /// The machine of audits, whose table is named by what is audited: the audit itself is the trail.
    private static let audit: StateMachine = {
        var machine = StateMachine(
            "Audit",
            finals: PictureAuditState.allCases.filter(\.isFinal),
            stored: PictureAuditState.allCases
        ) {
            $0.state(after: $1 as PictureAuditEvent)
        }
        machine.table = "picture_audit"
        return machine
    }()

    /// The machine of groups, whose table's name is not the word alone: SQL has that already.
    private static let group: StateMachine = {
        var machine = StateMachine(
            "Group",
            finals: [GroupState.dissolved],
            stored: GroupState.storedCases
        ) {
            $0.state(after: $1 as GroupEvent)
        }
        machine.table = "worker_group"
        return machine
    }()

    private init<State, Event>(
        _ heading: String,
        finals: [State]?,
        stored: [State],
        next: (State, Event) -> State?
    )
    where
        State: RawRepresentable<String> & CaseIterable,
        Event: RawRepresentable<String> & CaseIterable
    {
        self.heading = heading
        table = heading.lowercased()
        states = State.allCases.map(\.rawValue)
        derived = states.filter { state in !stored.contains { $0.rawValue == state } }
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

    /// The text from the latest definition of a constraint on, or from the statement that makes its table
    /// where no constraint of that name is there.
    private func definition(of constraint: String, on table: String) throws -> String {
        let schema = Migrations.all.map(\.sql).joined(separator: "\n")
        guard let range = schema.range(of: constraint + " CHECK", options: .backwards) else {
            return try statement(making: table)
        }
        return String(schema[range.lowerBound...])
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

    /// The states that a constraint `TABLE_state_stored` keeps out of the rows.
    ///
    /// The tables of the first step hold every state; later ones keep out what is derived.
    private func excluded(from table: String) throws -> [String] {
        let schema = Migrations.all.map(\.sql).joined(separator: "\n")
        guard let start = schema.range(of: "\(table)_state_stored CHECK (state ") else {
            let isFirstStep = Migrations.all.count == 1
            return isFirstStep ? StateMachine.all.first { $0.table == table }?.derived ?? [] : []
        }
        let line = schema[start.upperBound...].prefix { $0 != "\n" }
        return line.split(separator: "'", omittingEmptySubsequences: false).enumerated()
            .filter { $0.offset % 2 == 1 }.map { String($0.element) }
    }

    @Test("every legal move is drawn, and no other", arguments: StateMachine.all)
    func drawing(machine: StateMachine) throws {
        let lines = try Document("states.md").section(machine.heading).split(separator: "\n")
            .map { $0.trimmingCharacters(in: .whitespaces) }.filter { $0.contains("-->") }
        let (starts, moves) = (lines.filter { $0.hasPrefix("[*]") }, lines.dropFirst())
        #expect(moves.sorted() == machine.moves.sorted())
        let start = try #require(starts.first?.split(separator: " ").last)
        #expect(starts.count == 1)
        let column = try statement(making: machine.table)
        #expect(column.contains("state text NOT NULL DEFAULT '\(start)'"))
    }

    @Test("every state is explained, and whether it is final", arguments: StateMachine.all)
    func explanation(machine: StateMachine) throws {
        let rows = try Document("states.md").table(machine.heading)
        #expect(rows.map { $0[0].codes } == machine.states.map { [$0] })
        guard let finals = machine.finals else { return }
        #expect(rows.map { $0[2] } == machine.states.map { finals.contains($0) ? "yes" : "no" })
    }

    @Test("a state that no row holds is said to be derived", arguments: StateMachine.all)
    func derived(machine: StateMachine) throws {
        let rows = try Document("states.md").table(machine.heading)
        let told = rows.filter { $0[1].contains("derived") }.flatMap { $0[0].codes }
        #expect(told == machine.derived)
    }

    @Test("the schema takes every state, and no other", arguments: StateMachine.all)
    func schema(machine: StateMachine) throws {
        let statement = try statement(making: machine.table)
        let known = try definition(of: machine.table + "_state_known", on: machine.table)
        #expect(try words("state", after: "state", in: known) == machine.states)
        #expect(try excluded(from: machine.table) == machine.derived)
        guard let finals = machine.finals, statement.contains("_finished_when_final") else {
            return
        }
        #expect(try words("state", after: "_finished_when_final", in: statement) == finals)
    }

    @Test("the outcomes of an attempt are the schema's")
    func outcomes() throws {
        let section = try Document("states.md").section("Attempt")
        let known = try definition(of: "attempt_outcome_known", on: "attempt")
        let outcomes = try words("outcome", after: "attempt_outcome_known", in: known)
        #expect(section.codes == outcomes && outcomes.count == 7)
    }

    @Test("what each class of failure does to its task is told")
    func failures() throws {
        let section = try Document("states.md").section("Task")
        for failure in FailureClass.allCases {
            #expect(section.codes.contains(failure.rawValue))
        }
    }
}
