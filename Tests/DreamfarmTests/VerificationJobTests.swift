import Diffusion
import FarmModel
import FoundationEssentials
import Tensors
import Testing

@testable import dreamfarm

@Suite("Jobs that render a picture again")
struct VerificationJobTests {
    private static let digest = BlobDigest(ofText: "reference")

    private static var plain: RenderSettings {
        RenderSettings(
            prompt: "a frog from [ref#2], \"quoted\" \u{1F438}",
            negativePrompt: "",
            references: [
                ConditionSpecification(image: "frog.png", sha256: digest, task: .ip, slot: 2)
            ],
            seed: 7,
            width: 128,
            height: 256,
            steps: 12,
            guidance: 3.5,
            firstStepGuidance: 0,
            trueCfg: .off,
            prepare: .resize,
            refRes: 512,
            posterior: .mode,
            noise: .float32,
            maxTextTokens: nil,
            loras: []
        )
    }

    private static var unusual: RenderSettings {
        var settings = plain
        settings.negativePrompt = "blur"
        settings.trueCfg = TrueGuidance(scale: 1.5, start: 1, end: 3, guidance: 2.25)
        settings.firstStepGuidance = 4.1
        settings.prepare = .none
        settings.posterior = .sample
        settings.noise = .bfloat16
        settings.maxTextTokens = 64
        settings.references = []
        settings.prompt = "no reference"
        return settings
    }

    @Test("ask for exactly the settings", arguments: [plain, unusual])
    func settings(_ settings: RenderSettings) throws {
        let numericClass = RenderPipeline.numericClass(.float32, Compute(threads: 1))
        let job = VerificationJob(settings: settings, model: "flux", numericClass: numericClass)
        let specification = try job.specification
        let defaults = ModelDefaults(width: 16, height: 16, refRes: 16, steps: 1, guidance: 9)
        let resolved = ResolvedJob(
            specification,
            model: "flux",
            modelDigest: "0",
            defaults: defaults,
            seed: 0,
            label: "verify"
        )
        #expect(resolved.imageCount == 1)
        #expect(resolved.settings(at: 0) == settings)
        #expect(specification.requirements.numericClass == "\(numericClass)")
        #expect(specification.requirements.group == nil)
    }

    @Test("ask for a group where one made the picture", arguments: ["tp3", "tp3-packed"])
    func group(_ group: String) throws {
        let numericClass = RenderPipeline.numericClass(.int8, Compute(threads: 1), group)
        let needs = try VerificationJob(
            settings: Self.plain,
            model: "flux",
            numericClass: numericClass
        ).specification.requirements
        #expect(needs.group == 3)
        #expect(needs.numericClass?.hasSuffix("/int8/\(group)") == true)
    }

    @Test("a group that another engine names is not guessed at")
    func unknownGroup() {
        #expect(RenderPipeline.numericClass(.int8, Compute(threads: 1), "pp2").ranks == nil)
    }

    @Test("what ends by itself is waited for, what nobody can render is not")
    func obstacles() throws {
        let numericClass = RenderPipeline.numericClass(.int8, Compute(threads: 1), "tp2")
        func check(_ cause: WaitingCause?) throws {
            let view = cause.map { WhyView($0) }
            try PictureVerifier.check(
                try view.map { try FarmJSON.decode(from: FarmJSON.encode($0)) },
                numericClass
            )
        }
        var shortage = GroupShortage(size: 2, model: "flux", members: ["a", "b"])
        try check(nil)
        try check(.noGroup(shortage))
        shortage.members = ["a"]
        let error = #expect(throws: VerificationError.self) { try check(.noGroup(shortage)) }
        #expect("\(try #require(error))".contains("waits for 1 more worker"))
        #expect(CommandExit(try #require(error)) == .noWorkerOfClass)
        #expect(throws: VerificationError.self) {
            try check(.noMemory(needed: 2, largest: 1))
        }
        #expect(throws: VerificationError.self) {
            try check(.noPrecision(wanted: "int8", offered: []))
        }
        let passing: [WaitingCause] = [
            .behind(tasks: 3), .backoff(until: .now, failure: nil), .poolPaused(pool: nil),
            .jobPaused, .fairShare(owner: "ann"), .limit(maxWorkers: 1),
            .blobStoreFull(freePercent: 1, reservePercent: 5),
        ]
        for cause in passing { try check(cause) }
    }

    @Test("only a worker of the model and class that takes tasks counts as at hand")
    func workers() throws {
        let numericClass = RenderPipeline.numericClass(.float32, Compute(threads: 1))
        func worker(_ change: (inout WorkerView) -> Void = { _ in }) -> Bool {
            var view = WorkerView(
                id: WorkerID.timeOrdered(),
                name: "w",
                state: .idle,
                pool: "default",
                model: "flux",
                modelDigest: "digest",
                precision: "float32",
                numericClass: "\(numericClass)",
                registeredAt: .now,
                lastSeenAt: .now,
                leasedTasks: 0
            )
            change(&view)
            return view.takesTasks(of: "digest", in: numericClass)
        }
        #expect(worker())
        for state in WorkerState.allCases {
            let takes = [WorkerState.starting, .idle, .busy].contains(state)
            #expect(worker { $0.state = state } == takes, "\(state)")
        }
        for wish in DesiredWorkerState.allCases {
            #expect(worker { $0.desiredState = wish } == (wish == .run), "\(wish)")
        }
        #expect(!worker { $0.modelDigest = "another" })
        #expect(!worker { $0.numericClass = "another" })
    }
}
