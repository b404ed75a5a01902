import BlobStore
import FarmModel
import FarmStore
import FoundationEssentials
import HTTPTypes
import Postgres
import TestSupport
import Testing

@testable import FarmCoordinator

@Suite(.database) struct OpenAPITests {
    /// A route as both the router and the description name it.
    private struct Route: Hashable, CustomStringConvertible {
        var method: String
        var path: String
        var access: String

        var description: String { "\(method) \(path) for \(access)" }
    }

    private static let methods = ["get", "put", "post", "patch", "delete", "head"]

    private func declarations() throws -> [RouteDeclaration] {
        let folder = FileManager.default.temporaryDirectory.path + "/routes-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        // Nothing connects: a pool does so at its first statement.
        let api = CoordinatorAPI(
            store: FarmStore(pool: PostgresPool(PostgresConfiguration(conninfo: ""))),
            blobs: try FolderBlobStore(folder: folder),
            admin: "a-token-for-tests"
        )
        return CoordinatorAPI.declarations(of: api)
    }

    private func declared() throws -> [Route] {
        try declarations().map {
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

    @Test("each route is described with the keys of its query, and no others")
    func queries() throws {
        let root = try mapping(document())
        let shared = try mapping(try mapping(root["components"])["parameters"])
        for declaration in try declarations() {
            let item = try mapping(try mapping(root["paths"])[declaration.path])
            let operation = try mapping(item[declaration.method.lowercased()])
            var described: [String] = []
            if case .list(let parameters)? = operation["parameters"] {
                for parameter in parameters {
                    var entries = try mapping(parameter)
                    if case .string(let text)? = entries["$ref"] {
                        entries = try mapping(shared[String(text.split(separator: "/").last ?? "")])
                    }
                    guard case .string(let name)? = entries["name"],
                        entries["in"] == .string("query")
                    else { continue }
                    described.append(name)
                }
            }
            let route = "\(declaration.method) \(declaration.path)"
            #expect(described.sorted() == declaration.query.sorted(), "\(route)")
        }
    }

    @Test("a handler sees the keys of its route's query alone")
    func undeclaredKeys() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register()
            let plain: Page<WorkerView> = try await farm.call(.get, "/v1/workers?limit=1&lost=true")
            #expect(plain.items.count == 1)
            // No list of workers has states to choose from.
            let other: Page<WorkerView> = try await farm.call(.get, "/v1/workers?state=x&limit=1")
            #expect(other.items.count == 1)
            let alone: Page<WorkerView> = try await farm.call(.get, "/v1/workers?state=x")
            #expect(alone.items.count == 1)
            #expect(try await farm.problem(.get, "/v1/workers?state=x&limit=0") == .malformed)
        }
    }

    @Test("the kinds of problems are described with their statuses, each and no other")
    func problems() throws {
        let responses = try mapping(try mapping(try mapping(document())["components"])["responses"])
        let described = try mapping(try mapping(responses["Problem"])["x-statuses"])
        let known = ProblemKind.allCases.map {
            ($0.rawValue, SpecificationValue.integer($0.status))
        }
        #expect(described == Dictionary(uniqueKeysWithValues: known))
    }

    // MARK: - Messages

    /// Every message with keys, as the description names it.
    private static var messages: [any Decodable.Type] {
        [
            AccountRequest.self, AccountView.self, AttemptAnswer.self,
            AttemptFence.self, AttemptProgress.self, AttemptReport.self, AttemptRequest.self,
            AttemptView.self, AuditView.self, AuditedRenderingView.self,
            BlobList.self, BlobSweepView.self, BlockSizes.self,
            CancelOrder.self, CapacityView.self, CheckpointAnswer.self, CheckpointOffer.self,
            ClaimAnswer.self,
            ClaimRequest.self, ComputeBudget.self, ConditionSpecification.self, CostConstants.self,
            CredentialRequest.self, CredentialTerms.self, DeletePreview.self,
            DeliveredPictureView.self,
            DeliveryAnswer.self, DiscoveryTarget.self, DoctorView.self, DraftView.self,
            DropRequest.self, ErasureView.self, FailureRequest.self,
            FailureView.self, FindingView.self,
            FarmView.self,
            GroupEpoch.self, GroupFigures.self, GroupMemberAddress.self, GroupMemberView.self,
            GroupOffer.self, GroupOrder.self, GroupRequest.self,
            GroupStanding.self, GroupView.self, HeartbeatAnswer.self, HeartbeatRequest.self,
            ImageAssignment.self, ImageStatesView.self,
            ImageTally.self,
            ImageView.self, JobAxesView.self, JobAxisView.self, JobRequirements.self, JobView.self,
            KeepRequest.self, LimitRequest.self, LimitUse.self,
            LimitView.self, LogLine.self,
            LoraSpecification.self,
            MachineInfo.self, ModelDefaults.self, ModelFileView.self, ModelMemory.self,
            ModelRequest.self,
            ModelView.self, ParkedView.self, PicturePreview.self, PlanView.self,
            PoolCapacityView.self, PoolView.self,
            PictureAuditView.self, PriorityRequest.self,
            ProblemDetails.self, RegistrationAnswer.self, RegistrationRequest.self,
            RenderSettings.self, RendererModel.self, RetentionRequest.self, RetentionView.self,
            RetryRequest.self, SessionRequest.self,
            SessionView.self, SpecificationProblem.self, StepView.self, TableView.self,
            TaskAssignment.self, TaskTally.self, TaskView.self, TokenRequest.self, TokenView.self,
            TrueGuidance.self, UsageView.self, WebhookView.self, WhyView.self, WorkerFigures.self,
            WorkerStateRequest.self, WorkerView.self,
        ]
    }

    /// Every word that is one of a few.
    private static var words: [any (CaseIterable & RawRepresentable<String>).Type] {
        [
            AttemptEnding.self, BudgetAction.self, BudgetPeriod.self, CancelMode.self,
            ConditionTask.self, DesiredWorkerState.self, DraftDecision.self,
            FailureClass.self, FindingLevel.self, GroupOrigin.self, GroupPhase.self,
            GroupState.self,
            ImageState.self, JobState.self, JoinKind.self, LogLevel.self, NoTaskReason.self,
            NoisePrecision.self, Parameter.self, PictureAuditState.self,
            PosteriorChoice.self, Preparation.self, ReleaseReason.self, RenderPhase.self,
            TaskState.self, TokenRole.self, WaitingReason.self, WorkerState.self,
        ]
    }

    private func schemas() throws -> [String: [String: SpecificationValue]] {
        try mapping(try mapping(try mapping(document())["components"])["schemas"])
            .mapValues { try mapping($0) }
    }

    @Test("a message's description has the keys that the message has, and requires the same")
    func keys() throws {
        let schemas = try schemas()
        for message in Self.messages {
            let name = "\(message)"
            let schema = try #require(schemas[name], "\(name) is not described")
            let shape = try MessageShape(of: message)
            let properties = Set(try mapping(schema["properties"]).keys)
            #expect(properties.subtracting(shape.keys).isEmpty, "\(name) has no such keys")
            #expect(shape.keys.subtracting(properties).isEmpty, "\(name) is described without")
            let required = Set(Self.texts(schema["required"]))
            #expect(required.subtracting(shape.required).isEmpty, "\(name) does not require")
            #expect(shape.required.subtracting(required).isEmpty, "\(name) requires, too")
        }
    }

    @Test("a word's description has its values, and no others")
    func values() throws {
        let schemas = try schemas()
        for word in Self.words {
            let name = "\(word)"
            let schema = try #require(schemas[name], "\(name) is not described")
            #expect(Set(Self.texts(schema["enum"])) == Self.values(of: word), "\(name)")
        }
    }

    @Test("every description of a message or word is compared with the code")
    func completeness() throws {
        // A page is of any items; a specification is described in docs/job.md.
        let others: Set = ["Page", "JobSpecification"]
        let compared = Set(Self.messages.map { "\($0)" } + Self.words.map { "\($0)" })
        #expect(Set(try schemas().keys) == compared.union(others))
    }

    private static func texts(_ value: SpecificationValue?) -> [String] {
        guard case .list(let elements)? = value else { return [] }
        return elements.compactMap { if case .string(let text) = $0 { text } else { nil } }
    }

    private static func values<Word: CaseIterable & RawRepresentable<String>>(
        of word: Word.Type
    ) -> Set<String> {
        Set(word.allCases.map(\.rawValue))
    }
}
