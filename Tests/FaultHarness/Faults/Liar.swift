import FarmClient
import FarmModel
import FoundationEssentials
import HTTPTransport
import Postgres

/// A worker that lies: it keeps the protocol as far as it must to be heard, and then claims what is not so.
struct Liar {
    let farm: Farm
    let log: RunLog
    let name: String
    private let transport = HTTPClient()
    private var client: CoordinatorClient { farm.liar }

    /// The answer to a write under a lease that is not current.
    private static let stale: Set<Int> = [409]
    private static let wrong: Set<Int> = [422]
    private static let done: Set<Int> = [200, 201]

    init(farm: Farm, log: RunLog, name: String) {
        self.farm = farm
        self.log = log
        self.name = name
    }

    /// Tells every lie; what is not refused, or changes anything, is a finding.
    ///
    /// - Returns: How many lies were told.
    func run() async throws -> Int {
        let registered = try await client.register(
            RegistrationRequest(name: name, model: SimulatedModel.model)
        )
        let first = try await claim(registered)
        var lies = try await lieAboutFences(first, registered)
        lies += try await lieAboutBytes(first, registered)
        lies += try await repeatItself(first, registered)
        lies += try await comeLate(try await claim(registered))
        try await client.leave(registered.id, epoch: registered.epoch)
        return lies
    }

    private func claim(_ registered: RegistrationAnswer) async throws -> TaskAssignment {
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            let request = ClaimRequest(epoch: registered.epoch, waitSeconds: 2)
            if let answer = try? await client.claim(registered.id, request),
                let task = answer.tasks.first
            {
                return task
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw HarnessError("\(name) is given no task\n\(farm.logs)")
    }

    /// Extends its lease, so that what it says next is not late besides.
    private func keep(_ task: TaskAssignment, _ registered: RegistrationAnswer) async throws {
        let progress = AttemptProgress(fence: task.fence)
        let request = HeartbeatRequest(epoch: registered.epoch, state: .busy, running: [progress])
        _ = try await client.heartbeat(registered.id, request)
    }

    // MARK: - Lies

    /// Writes for another's task, another's attempt, and in another epoch.
    private func lieAboutFences(
        _ task: TaskAssignment,
        _ registered: RegistrationAnswer
    ) async throws -> Int {
        let mine = task.fence
        var lies: [(String, AttemptFence)] = [
            (
                "an old epoch",
                AttemptFence(task: mine.task, attempt: mine.attempt, epoch: mine.epoch - 1)
            ),
            (
                "an epoch to come",
                AttemptFence(task: mine.task, attempt: mine.attempt, epoch: mine.epoch + 1)
            ),
            (
                "an attempt that is none",
                AttemptFence(task: mine.task, attempt: .random(), epoch: mine.epoch)
            ),
        ]
        var others: AttemptFence?
        try await farm.wait("another worker holds a task", within: .seconds(60)) {
            others = try await farm.pool.query(
                """
                SELECT task_id, attempt_id, epoch FROM lease
                WHERE worker_id <> \(registered.id.description)::uuid ORDER BY deadline DESC LIMIT 1
                """
            ).first.map(Self.fence)
            return others != nil
        }
        if let others {
            lies += [
                (
                    "its own attempt at another's task",
                    AttemptFence(task: others.task, attempt: mine.attempt, epoch: mine.epoch)
                ),
                (
                    "another's attempt at its own task",
                    AttemptFence(task: mine.task, attempt: others.attempt, epoch: others.epoch)
                ),
            ]
        }
        for (lie, fence) in lies {
            try await refuse(lie, (task, registered), Self.stale) { try await deliver(fence, task) }
            try await refuse("a checkpoint of \(lie)", (task, registered), Self.stale) {
                let request = CheckpointRequest(
                    fence: fence,
                    imageIndex: task.images[0].index,
                    step: 1,
                    numericClass: SimulatedModel.model.numericClass
                )
                return try await put(Data("false".utf8), request.path)
            }
            try await refuse("a release of \(lie)", (task, registered), Self.stale) {
                try await post(
                    "/v1/attempts/\(fence.attempt)/release",
                    AttemptRequest(fence: fence)
                )
            }
        }
        return lies.count * 3
    }

    /// Sends other bytes than it says, fewer, and none.
    private func lieAboutBytes(
        _ task: TaskAssignment,
        _ registered: RegistrationAnswer
    ) async throws -> Int {
        let picture = try Self.picture(of: task.images[0])
        let digest = BlobDigest(of: picture)
        let forged = try Self.forged(task.images[0])
        for (lie, bytes) in [
            ("other bytes than their digest says", forged),
            ("fewer bytes than their digest says", picture.dropLast()),
            ("no bytes", Data()),
        ] {
            try await refuse(lie, (task, registered), Self.wrong) {
                try await put(bytes, delivery(task, digest: digest).path)
            }
            try await refuse("a blob of \(lie)", (task, registered), Self.wrong) {
                try await put(bytes, "/v1/blobs/\(BlobDigest(ofText: "\(name) \(lie)"))")
            }
        }
        return 6
    }

    /// Delivers, says the same again, and then something else of what is delivered.
    private func repeatItself(
        _ task: TaskAssignment,
        _ registered: RegistrationAnswer
    ) async throws -> Int {
        for image in task.images {
            var request = delivery(task, digest: BlobDigest(of: try Self.picture(of: image)))
            request.imageIndex = image.index
            request.isFinal = image.index == task.images.last?.index
            for _ in 1...2 {
                let status = try await put(try Self.picture(of: image), request.path)
                expect(status, Self.done, "a delivery, and the same again")
            }
        }
        try await refuse("the same completion again", (task, registered), Self.done) {
            try await post(
                "/v1/attempts/\(task.fence.attempt)/complete",
                AttemptRequest(fence: task.fence)
            )
        }
        try await refuse("other bytes for what it delivered", (task, registered), Self.stale) {
            try await deliver(task.fence, task)
        }
        return 3
    }

    /// Writes after its lease is over.
    private func comeLate(_ task: TaskAssignment) async throws -> Int {
        let fence = task.fence
        try await farm.wait("the liar's lease lapses", within: .seconds(60)) {
            try await farm.pool.query(
                """
                SELECT FROM lease WHERE attempt_id = \(fence.attempt.description)::uuid
                """
            ).isEmpty
        }
        let attempt = "/v1/attempts/\(fence.attempt)"
        // What is delivered late is said to be something else: were it taken, it would be seen.
        expect(try await deliver(fence, task), Self.stale, "a delivery after its lease")
        let request = AttemptRequest(fence: fence)
        expect(
            try await post("\(attempt)/complete", request),
            Self.stale,
            "a completion after its lease"
        )
        expect(
            try await post("\(attempt)/release", request),
            Self.stale,
            "a release after its lease"
        )
        let failure = FailureRequest(fence: fence, failureClass: .deterministic, message: "a lie")
        expect(try await post("\(attempt)/fail", failure), Self.stale, "a failure after its lease")
        return 4
    }

    // MARK: - Saying them

    /// Says something that has to be answered with one of the statuses, and to leave a task as it is.
    ///
    /// The lease is extended before each, so that no lapse is taken for what a lie has changed.
    private func refuse(
        _ lie: String,
        _ held: (task: TaskAssignment, by: RegistrationAnswer),
        _ statuses: Set<Int>,
        _ say: () async throws -> Int
    ) async throws {
        try await keep(held.task, held.by)
        let before = try await state(of: held.task.fence.task)
        expect(try await say(), statuses, lie)
        let after = try await state(of: held.task.fence.task)
        if before != after {
            log.find(Finding(name: "lie-changed", detail: "\(lie): \(before) became \(after)"))
        }
    }

    private func expect(_ status: Int, _ statuses: Set<Int>, _ lie: String) {
        guard !statuses.contains(status) else { return }
        log.find(
            Finding(
                name: "lie-answered",
                detail: "\(lie) was answered \(status), not \(statuses.sorted())"
            )
        )
    }

    /// A task with its images, outputs, lease and checkpoints, as text.
    private func state(of task: TaskID) async throws -> String {
        let id = task.description
        var state = ""
        try await farm.wait("the database answers", within: .seconds(60)) {
            state =
                try await farm.pool.query(
                    """
                    SELECT format('%s %s %s %s %s', task.state, task.epoch,
                        (SELECT string_agg(format('%s %s', image.index, image.state), ', ' ORDER BY index)
                            FROM image WHERE task_id = task.id),
                        (SELECT string_agg(format('%s %s', digest, attempt_id), ', ' ORDER BY image_id)
                            FROM output JOIN image ON image.id = image_id WHERE task_id = task.id),
                        (SELECT string_agg(format('%s %s', attempt_id, epoch), ', ')
                            FROM lease WHERE task_id = task.id)) AS state
                    FROM task WHERE id = \(id)::uuid
                    """
                ).first?.decode("state") ?? ""
            return true
        }
        return state
    }

    private func delivery(_ task: TaskAssignment, digest: BlobDigest?) -> DeliveryRequest {
        var request = DeliveryRequest(fence: task.fence, imageIndex: task.images[0].index)
        request.digest = digest
        return request
    }

    private func deliver(_ fence: AttemptFence, _ task: TaskAssignment) async throws -> Int {
        let forged = try Self.forged(task.images[0])
        let request = DeliveryRequest(
            fence: fence,
            imageIndex: task.images[0].index,
            isFinal: true
        )
        return try await put(forged, request.path)
    }

    private func put(_ bytes: Data, _ path: String) async throws -> Int {
        try await send("PUT", path, bytes)
    }

    private func post(_ path: String, _ message: some Encodable) async throws -> Int {
        try await send("POST", path, try FarmJSON.encode(message))
    }

    /// The status of the answer; where nobody answers, or a coordinator has no database just now, it is said again.
    private func send(_ method: String, _ path: String, _ body: Data) async throws -> Int {
        let deadline = ContinuousClock.now + .seconds(30)
        while true {
            let request = HTTPRequest(
                method: method,
                url: client.coordinator + path,
                headers: [
                    (name: "Authorization", value: "Bearer \(farm.token)"),
                    (
                        name: "Content-Type",
                        value: method == "PUT" ? "image/png" : "application/json"
                    ),
                ],
                body: .bytes(body)
            )
            if let answer = try? await transport.send(request, retry: .never), answer.status < 500 {
                return answer.status
            }
            guard ContinuousClock.now < deadline else {
                throw HarnessError("nobody answers \(name)\n\(farm.logs)")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    // MARK: - Bytes

    private static func picture(of image: ImageAssignment) throws -> Data {
        try SimulatedModel.picture(of: image.settings, index: image.index)
    }

    /// A whole picture that is not the image's.
    private static func forged(_ image: ImageAssignment) throws -> Data {
        var settings = image.settings
        settings.prompt += ", forged"
        return try SimulatedModel.picture(of: settings, index: image.index)
    }

    private static func fence(_ row: Row) throws -> AttemptFence {
        guard let task = TaskID(try row.decode("task_id", as: String.self)),
            let attempt = AttemptID(try row.decode("attempt_id", as: String.self))
        else { throw HarnessError("an id of the database is not read") }
        return AttemptFence(task: task, attempt: attempt, epoch: try row.decode("epoch"))
    }
}

extension Injector {
    /// Lets a worker lie.
    func lie(_ fault: PlannedFault) async throws -> FaultRecord {
        let liar = Liar(farm: farm, log: log, name: "liar-\(fault.number)")
        let lies = try await liar.run()
        return try await recover(
            fault,
            liar.name,
            "\(lies) lies",
            since: .now,
            through: .anyDelivery
        )
    }
}
