import FarmModel
import Foundation
import Testing

/// What workers and coordinators say to each other.
@Suite struct WireMessageTests {
    private let fence = AttemptFence(task: .random(), attempt: .random(), epoch: 7)

    private func survives<Message: Codable & Equatable>(_ message: Message) throws -> String {
        let text = try FarmJSON.text(message)
        #expect(try FarmJSON.decode(Message.self, from: text) == message)
        return text
    }

    @Test("a registration survives the wire with everything it says")
    func registration() throws {
        var request = RegistrationRequest(
            name: "w",
            instance: "i",
            pool: "day",
            model: RendererModel(
                name: "flux",
                digest: "d",
                precision: "float32",
                defaults: JobSpecificationTests.defaults,
                numericClass: "float32/avx2/1",
                costs: .flux
            )
        )
        request.tags = ["amx"]
        request.memoryBytes = 1 << 40
        request.speed = 1.5e12
        request.machine = MachineInfo(host: "h", system: "s", processor: "p", threads: 4)
        request.warmArtifacts = [ArtifactKey(.prompt, determinants: "a")]
        let text = try survives(request)
        #expect(request.protocolVersion == 2)
        #expect(text.contains(#""memory_bytes":1099511627776"#))
        #expect(text.contains(#""numeric_class":"float32/avx2/1""#))
        #expect(text.contains(#""flops_per_token_pair":700416"#))
    }

    @Test("a worker that says no instance is understood")
    func noInstance() throws {
        let model = RendererModel(
            name: "flux",
            digest: "d",
            precision: "float32",
            defaults: JobSpecificationTests.defaults
        )
        let text = try survives(RegistrationRequest(name: "w", model: model))
        #expect(!text.contains("instance"))
    }

    @Test("a worker that says nothing of groups renders alone")
    func alone() throws {
        var request = RegistrationRequest(
            name: "w",
            model: RendererModel(
                name: "flux",
                digest: "d",
                precision: "float32",
                defaults: JobSpecificationTests.defaults
            )
        )
        let old = try survives(request).replacing(#""renders_alone":true,"#, with: "")
        #expect(!old.contains("group") && !old.contains("alone"))
        #expect(try FarmJSON.decode(RegistrationRequest.self, from: old) == request)
        request.group = GroupOffer(name: "wide", size: 4)
        request.modelMemory = ModelMemory(sharded: 9, replicated: 2, working: 1)
        request.rendersAlone = false
        #expect(try survives(request).contains(#""group":{"name":"wide","size":4}"#))
        #expect(try !survives(request).contains("most_ranks"))
        request.modelMemory?.mostRanks = 4
        #expect(try survives(request).contains(#""most_ranks":4"#))
        #expect((1...4).map { request.modelMemory?.needed(ranks: $0) } == [12, 8, 6, 6])
    }

    @Test("a member's standing and its order survive the wire")
    func group() throws {
        var beat = HeartbeatRequest()
        var standing = GroupStanding(group: .random(), epoch: 3, rank: 1, phase: .waiting)
        standing.address = Data([1, 0, 255])
        standing.lostRank = 2
        standing.figures = GroupFigures()
        beat.group = standing
        #expect(try survives(beat).contains(#""lost_rank":2"#))
        let order = GroupOrder(
            group: standing.group,
            name: "g",
            epoch: 3,
            rank: 1,
            size: 2,
            secret: Data(repeating: 7, count: 32),
            members: [
                GroupMemberAddress(rank: 0, worker: "a", address: Data([1])),
                GroupMemberAddress(rank: 1, worker: "b"),
            ],
            isReserved: true
        )
        let answer = HeartbeatAnswer(cancel: [], heartbeatSeconds: 1, group: order)
        #expect(try survives(answer).contains(#""is_reserved":true"#))
    }

    @Test("a worker asks what its coordinator can do")
    func capabilities() throws {
        let answer = RegistrationAnswer(
            id: .random(),
            epoch: 1,
            name: "w-2",
            model: "flux",
            leaseSeconds: 60,
            heartbeatSeconds: 15,
            capabilities: [.checkpoints],
            desiredState: .sleep
        )
        _ = try survives(answer)
        #expect(answer.has(.checkpoints))
        #expect(!answer.has(.finalDelivery))
    }

    @Test("a heartbeat survives the wire with previews and log lines")
    func heartbeat() throws {
        let preview = try #require(
            PicturePreview(mediaType: "image/jpeg", data: Data([0, 255, 7]))
        )
        var request = HeartbeatRequest(
            epoch: 3,
            state: .busy,
            running: [
                AttemptProgress(
                    fence: fence,
                    phase: .denoising,
                    image: 2,
                    step: 3,
                    steps: 12,
                    stepSeconds: 0.25,
                    preview: preview
                )
            ]
        )
        request.ahead = [AttemptFence(task: .random(), attempt: .random(), epoch: 1)]
        request.log = [
            LogLine(
                attempt: fence.attempt,
                number: 0,
                at: Date(timeIntervalSince1970: 1.25),
                level: .warning,
                text: String(repeating: "x", count: 5000)
            )
        ]
        request.figures = WorkerFigures()
        let text = try survives(request)
        #expect(text.contains(#""data":"AP8H""#))
        #expect(text.contains(#""at":"1970-01-01T00:00:01.250Z""#))
        #expect(request.fences.count == 2)
        #expect(request.log[0].text.count == LogLine.longestText)
    }

    @Test("a preview that is too large is refused at both ends")
    func largePreview() throws {
        let limit = PicturePreview.largestSize
        #expect(PicturePreview(mediaType: "image/jpeg", data: Data(count: limit + 1)) == nil)
        let base64 = Data(count: limit + 1).base64EncodedString()
        #expect(throws: DecodingError.self) {
            _ = try FarmJSON.decode(
                PicturePreview.self,
                from: #"{"media_type":"image/jpeg","data":"\#(base64)"}"#
            )
        }
        #expect(PicturePreview(mediaType: "image/jpeg", data: Data(count: limit)) != nil)
    }

    @Test("cancels, states and reasons are written as the API names them")
    func words() throws {
        let answer = HeartbeatAnswer(
            cancel: [CancelOrder(attempt: fence.attempt, mode: .afterStep)],
            stale: [.random()],
            desiredState: .quarantine,
            stateReason: "bad fan",
            heartbeatSeconds: 15
        )
        let text = try survives(answer)
        #expect(text.contains(#""mode":"after_step""#))
        #expect(text.contains(#""desired_state":"quarantine""#))
        let claim = ClaimAnswer(reason: .blobStoreFull, retryAfterSeconds: 5)
        #expect(try survives(claim).contains(#""reason":"blob_store_full""#))
        let newer = #"{"tasks":[],"reason":"solar_flare"}"#
        #expect(try FarmJSON.decode(ClaimAnswer.self, from: newer).reason == .noTask)
    }

    @Test(
        "a delivery's address carries its lease and what the attempt cost",
        arguments: [true, false]
    )
    func delivery(isFinal: Bool) throws {
        let report = AttemptReport(
            stepsComputed: 36,
            seconds: 1.0 / 3,
            conditionsComputed: 1,
            conditionsFound: 2,
            coldStartSeconds: 0
        )
        let request = DeliveryRequest(
            fence: fence,
            imageIndex: 4,
            isFinal: isFinal,
            report: isFinal ? report : nil,
            digest: isFinal ? BlobDigest(ofText: "a picture") : nil
        )
        let parts = request.path.split(separator: "?")
        #expect(parts[0] == "/v1/attempts/\(fence.attempt)/images/4")
        let read = DeliveryRequest(
            attempt: fence.attempt,
            imageIndex: 4,
            query: query(String(parts[1]))
        )
        #expect(read == request)
    }

    @Test("a checkpoint's address carries its class, whatever stands in it")
    func checkpoint() throws {
        let request = CheckpointRequest(
            fence: fence,
            imageIndex: 0,
            step: 5,
            numericClass: "1/x86+zen 3/é&=?"
        )
        let parts = request.path.split(separator: "?")
        let encoded = query(String(parts[1]))
        let read = CheckpointRequest(attempt: fence.attempt) { key in
            encoded(key).flatMap { $0.removingPercentEncoding }
        }
        #expect(read == request)
        #expect(!request.path.contains(" ") && !request.path.contains("é"))
    }

    @Test(
        "an address without its lease, or with what is no number, is refused",
        arguments: [
            "", "task=x&epoch=1", "epoch=1", "task=TASK", "task=TASK&epoch=x",
            "task=TASK&epoch=1&steps=3", "task=TASK&epoch=1&steps=x",
        ]
    )
    func badAddress(text: String) {
        let text = text.replacing("TASK", with: fence.task.description)
        let query = query(text)
        #expect(DeliveryRequest(attempt: fence.attempt, imageIndex: 0, query: query) == nil)
        #expect(CheckpointRequest(attempt: fence.attempt, query: query) == nil)
    }

    @Test("a delivery's address with what is no digest is refused")
    func badDigest() {
        let address = "task=\(fence.task)&epoch=1"
        func read(_ text: String) -> DeliveryRequest? {
            DeliveryRequest(attempt: fence.attempt, imageIndex: 0, query: query(text))
        }
        #expect(read(address)?.digest == nil)
        #expect(read(address) != nil)
        #expect(read(address + "&digest=abc") == nil)
    }

    private func query(_ text: String) -> (String) -> String? {
        var values: [String: String] = [:]
        for item in text.split(separator: "&") {
            let pair = item.split(separator: "=", maxSplits: 1).map(String.init)
            values[pair[0]] = pair.count > 1 ? pair[1] : ""
        }
        return { [values] in values[$0] }
    }

    @Test("an artifact's key names what it is, and is read back")
    func artifactKey() {
        let key = ArtifactKey(.posterior, determinants: "abc")
        #expect(key.rawValue == "posterior-\(BlobDigest(ofText: "abc"))")
        #expect(ArtifactKey(rawValue: key.rawValue) == key)
        #expect(ArtifactKey(rawValue: key.rawValue.uppercased()) == nil)
        #expect(ArtifactKey(rawValue: "cat-\(BlobDigest(ofText: "abc"))") == nil)
        #expect(ArtifactKey(rawValue: "../prompt") == nil)
        #expect(key.path(for: fence).hasPrefix("/v1/artifacts/posterior-ba78"))
    }

    @Test("identifiers made later sort later, and are UUIDs of version 7")
    func timeOrdered() {
        let moments = [0, 1, 1.0005, 1_700_000_000, 1_700_000_000.5].map {
            JobID.timeOrdered(at: Date(timeIntervalSince1970: $0)).description
        }
        #expect(moments == moments.sorted())
        #expect(moments.allSatisfy { $0.dropFirst(14).first == "7" })
        #expect(moments.allSatisfy { "89ab".contains($0.dropFirst(19).first ?? "x") })
        // 1,700,000,000,000 ms are 0x018bcfe56800.
        #expect(moments[3].hasPrefix("018bcfe5-6800-7"))
        #expect(JobID.timeOrdered() != JobID.timeOrdered())
    }

    @Test(
        "moments are read with and without a fraction, in any zone",
        arguments: [
            ("1970-01-01T00:00:01Z", 1), ("1970-01-01T00:00:01.500Z", 1.5),
            ("1970-01-01T02:00:01+02:00", 1), ("1969-12-31T23:30:01.25-00:30", 1.25),
        ]
    )
    func moments(text: String, seconds: Double) {
        #expect(FarmJSON.date(text) == Date(timeIntervalSince1970: seconds))
    }

    @Test(
        "what is no moment is refused",
        arguments: [
            "", "1970-01-01", "now", "1970-01-01T25:00:00Z", "1970-01-01T00:00:00",
            "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01T00:60:00Z",
        ]
    )
    func noMoment(text: String) {
        #expect(FarmJSON.date(text) == nil)
    }

    @Test("views survive the wire")
    func views() throws {
        let date = Date(timeIntervalSince1970: 5)
        var worker = WorkerView(
            id: .random(),
            name: "w",
            state: .idle,
            pool: "p",
            model: "m",
            modelDigest: "d",
            precision: "float32",
            registeredAt: date,
            lastSeenAt: date,
            leasedTasks: 0,
            failuresInARow: 2
        )
        worker.running = [
            StepView(AttemptProgress(fence: fence), worker: worker.id, workerName: "w")
        ]
        _ = try survives(worker)
        var data = EventData()
        data.index = 3
        data.failure = FailureView(failureClass: .workersFault, message: "x")
        let event = EventView(number: 9, kind: .imageFailed, at: date, data: data)
        #expect(try survives(event).contains(#""kind":"image.failed""#))
        #expect(EventKind.allCases.filter(\.endsJob).count == 3)
        _ = try survives(TokenView(id: .random(), owner: "o", role: .operator, createdAt: date))
        let plan = PlanView(
            name: "n",
            model: "m",
            modelDigest: "d",
            images: 2,
            tasks: 1,
            imagesPerTask: 2,
            flops: 1e15,
            unrunnable: [WhyView(.jobPaused)]
        )
        _ = try survives(plan)
        let audit = AuditView(
            number: 1,
            at: date,
            actor: "a",
            action: "pool.pause",
            target: "day",
            detail: .mapping(["some_key": .integer(1)])
        )
        #expect(try survives(audit).contains(#""some_key":1"#))
    }

    @Test(
        "text in a URL is read back",
        arguments: ["box 3", "day/shift", "é😀", "100%", "a+b", "", "~-._", "\0"]
    )
    func urlText(text: String) {
        #expect(URLText.decode(URLText.encode(text)) == text)
    }

    @Test("what is no text in a URL is refused", arguments: ["%", "%2", "%zz", "%+1", "%ff"])
    func noURLText(text: String) {
        #expect(URLText.decode(text) == nil)
    }

    @Test("seconds from elsewhere are never too many for a duration")
    func seconds() {
        #expect(Duration.clamped(seconds: 1.5) == .milliseconds(1500))
        #expect(Duration.clamped(seconds: 1e300) == .seconds(1e9))
        for none: Double in [-1, 0, -.infinity, .nan] {
            #expect(Duration.clamped(seconds: none) == .zero)
        }
    }
}
