import FarmModel
import FarmStore
import Foundation
import Postgres
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(10))) struct JoiningTests {
    private static let day: Duration = .seconds(86_400)

    private func token(
        _ farm: Farm,
        _ join: JoinKind,
        pool: String? = nil,
        expiresAt: Date? = nil
    ) async throws -> TokenID {
        try await farm.store.createToken(
            owner: "fleet",
            role: .worker,
            expiresAt: expiresAt,
            join: join,
            pool: pool,
            by: "root"
        ).id
    }

    private func join(
        _ farm: Farm,
        _ token: TokenID,
        _ key: String,
        name: String = "w",
        pool: String = "default",
        instance: String? = nil,
        lifetime: Duration = day
    ) async throws -> RegisteredWorker {
        var registration = Self.registration(name, pool: pool)
        registration.instance = instance ?? key
        registration.admission = .join(
            WorkerJoin(token: token, key: BlobDigest(ofText: key), lifetime: lifetime)
        )
        registration.actor = "fleet"
        return try await farm.store.registerWorker(registration)
    }

    private func comeBack(
        _ farm: Farm,
        _ worker: WorkerID,
        name: String = "w",
        pool: String = "default",
        instance: String
    ) async throws -> RegisteredWorker {
        var registration = Self.registration(name, pool: pool)
        registration.instance = instance
        registration.admission = .own(worker)
        return try await farm.store.registerWorker(registration)
    }

    private static func registration(_ name: String, pool: String) -> WorkerRegistration {
        var registration = WorkerRegistration(
            name: name,
            modelName: "flux",
            modelDigest: "model-digest",
            precision: "float32"
        )
        registration.pool = pool
        return registration
    }

    /// As whom a key acts; nil for none.
    private func worker(_ farm: Farm, showing key: String) async throws -> WorkerID? {
        let bearer = try await farm.store.bearer(secret: key)
        guard case .worker(let id)? = bearer?.binding else { return nil }
        #expect(bearer?.role == .worker)
        #expect(bearer?.owner == "fleet")
        return id
    }

    private func keys(_ count: Int) -> [String] { (0..<count).map { _ in WorkerKey.random() } }

    @Test("of workers that come by one one-time token at once, one joins")
    func race() async throws {
        let farm = try await Farm()
        let token = try await token(farm, .once)
        let keys = keys(8)
        let joined: [String] = try await withThrowingTaskGroup(of: String?.self) { group in
            for (number, key) in keys.enumerated() {
                group.addTask {
                    do {
                        _ = try await join(farm, token, key, name: "w\(number)")
                        return key
                    } catch WorkerRefusal.tokenSpent {
                        return nil
                    }
                }
            }
            return try await group.reduce(into: []) { if let key = $1 { $0.append(key) } }
        }
        #expect(joined.count == 1)
        for key in keys {
            let isIn = try await worker(farm, showing: key) != nil
            #expect(isIn == joined.contains(key))
        }
        #expect(try await farm.store.workers().count == 1)
        let listed = try #require(try await farm.store.tokens().first)
        #expect(listed.spentAt != nil)
        #expect(listed.workers == 1)
    }

    @Test(
        "a worker whose answer was lost joins again as the same, until it has shown its key",
        arguments: JoinKind.allCases
    )
    func repetition(kind: JoinKind) async throws {
        let farm = try await Farm()
        let token = try await token(farm, kind, pool: kind == .pool ? "default" : nil)
        let key = WorkerKey.random()
        let first = try await join(farm, token, key)
        // As who starts anew does, under another instance even.
        let second = try await join(farm, token, key, instance: "another")
        #expect(second.id == first.id)
        #expect(second.epoch == first.epoch + 1)
        #expect(try await worker(farm, showing: key) == first.id)
        let refusal: WorkerRefusal = kind == .once ? .tokenSpent : .keyTaken
        await #expect(throws: refusal) { _ = try await join(farm, token, key) }
        #expect(try await worker(farm, showing: key) == first.id)
    }

    @Test("a pool's token lets any number join, into its pool alone")
    func pool() async throws {
        let farm = try await Farm()
        let token = try await token(farm, .pool, pool: "night")
        for (number, key) in keys(3).enumerated() {
            let joined = try await join(farm, token, key, name: "w\(number)", pool: "night")
            #expect(try await worker(farm, showing: key) == joined.id)
        }
        await #expect(throws: WorkerRefusal.pool("night", asked: "day")) {
            _ = try await join(farm, token, WorkerKey.random(), pool: "day")
        }
        #expect(try await farm.store.tokens().first?.workers == 3)
    }

    @Test("a token that is over or revoked lets nobody join, whoever remembers it")
    func over() async throws {
        let farm = try await Farm()
        let past = try await token(farm, .once, expiresAt: Date(timeIntervalSinceNow: -1))
        let revoked = try await token(farm, .once)
        #expect(try await farm.store.revokeToken(revoked, by: "root") == [])
        let plain = try await farm.store.createToken(owner: "fleet", role: .worker, by: "root").id
        for token in [past, revoked, plain, .random()] {
            await #expect(throws: WorkerRefusal.tokenOver) {
                _ = try await join(farm, token, WorkerKey.random())
            }
        }
        #expect(try await farm.store.workers(includingLost: true).isEmpty)
    }

    @Test("a key is over at its end")
    func end() async throws {
        let farm = try await Farm()
        let token = try await token(farm, .once)
        let key = WorkerKey.random()
        let joined = try await join(farm, token, key)
        #expect(try await worker(farm, showing: key) == joined.id)
        try await farm.pool.execute("UPDATE worker_credential SET expires_at = now()")
        #expect(try await worker(farm, showing: key) == nil)
        await #expect(throws: WorkerRefusal.keyOver) {
            _ = try await comeBack(farm, joined.id, instance: key)
        }
        #expect(try await farm.store.runRetention(RetentionPolicy()).credentials == 0)
        try await farm.pool.execute(
            "UPDATE worker_credential SET expires_at = now() - interval '2 days'"
        )
        #expect(try await farm.store.runRetention(RetentionPolicy()).credentials == 1)
    }

    @Test("the key before is good until the next one is shown, however often that is told")
    func renewal() async throws {
        let farm = try await Farm()
        let token = try await token(farm, .once)
        let keys = keys(3)
        let joined = try await join(farm, token, keys[0])
        func tell(_ key: String, of worker: WorkerID) async throws -> Bool {
            try await farm.store.renewCredential(
                of: worker,
                next: BlobDigest(ofText: key),
                lifetime: Self.day,
                by: "fleet"
            )
        }
        // A key that was never shown is not renewed.
        #expect(try await !tell(keys[1], of: joined.id))
        #expect(try await worker(farm, showing: keys[0]) == joined.id)
        #expect(try await tell(keys[1], of: joined.id))
        #expect(try await worker(farm, showing: keys[0]) == joined.id)
        // The answer was lost; then another next one is chosen.
        #expect(try await tell(keys[1], of: joined.id))
        #expect(try await tell(keys[2], of: joined.id))
        #expect(try await worker(farm, showing: keys[1]) == nil)
        #expect(try await worker(farm, showing: keys[0]) == joined.id)
        #expect(try await worker(farm, showing: keys[2]) == joined.id)
        #expect(try await worker(farm, showing: keys[0]) == nil)
        #expect(try await worker(farm, showing: keys[2]) == joined.id)
        // Neither the own key again, nor another worker's.
        #expect(try await !tell(keys[2], of: joined.id))
        let other = try await self.token(farm, .once)
        let neighbour = try await join(farm, other, WorkerKey.random(), name: "v")
        #expect(try await !tell(keys[2], of: neighbour.id))
        #expect(try await worker(farm, showing: keys[2]) == joined.id)
        let actions = try await farm.store.auditTrail(limit: 20).map(\.action)
        #expect(actions.count { $0 == "worker.credential_renewed" } == 3)
        #expect(try await farm.store.audit() == [])
    }

    @Test("whoever shows the next key at once, one key is left")
    func firstUse() async throws {
        let farm = try await Farm()
        let token = try await token(farm, .once)
        let keys = keys(2)
        let joined = try await join(farm, token, keys[0])
        #expect(try await worker(farm, showing: keys[0]) == joined.id)
        let isKept = try await farm.store.renewCredential(
            of: joined.id,
            next: BlobDigest(ofText: keys[1]),
            lifetime: Self.day,
            by: "fleet"
        )
        #expect(isKept)
        let found: [WorkerID?] = try await withThrowingTaskGroup(of: WorkerID?.self) { group in
            for _ in 0..<8 {
                group.addTask { try await worker(farm, showing: keys[1]) }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(found == Array(repeating: joined.id, count: 8))
        #expect(try await farm.store.audit() == [])
        #expect(try await worker(farm, showing: keys[0]) == nil)
    }

    @Test("a worker with a key comes back as itself, in its pool, and a copy of it does not")
    func comingBack() async throws {
        let farm = try await Farm()
        let token = try await token(farm, .once)
        let key = WorkerKey.random()
        let joined = try await join(farm, token, key, pool: "night", instance: "i")
        let again = try await comeBack(farm, joined.id, name: "x", pool: "night", instance: "i")
        #expect(again.id == joined.id)
        #expect(again.name == "w")
        #expect(again.epoch == joined.epoch + 1)
        await #expect(throws: WorkerRefusal.pool("night", asked: "day")) {
            _ = try await comeBack(farm, joined.id, pool: "day", instance: "i")
        }
        await #expect(throws: WorkerRefusal.placeTaken("w")) {
            _ = try await comeBack(farm, joined.id, pool: "night", instance: "copy")
        }
        _ = try await farm.store.leaveWorker(joined.id, epoch: again.epoch)
        let moved = try await comeBack(farm, joined.id, pool: "night", instance: "copy")
        #expect(moved.id == joined.id)
    }

    @Test("nobody gets the place of a worker that has a key by its name")
    func names() async throws {
        let farm = try await Farm()
        let token = try await token(farm, .pool, pool: "default")
        let keys = keys(2)
        let first = try await join(farm, token, keys[0])
        _ = try await farm.store.leaveWorker(first.id, epoch: first.epoch)
        let second = try await join(farm, token, keys[1])
        #expect(second.id != first.id)
        #expect(second.name == "w-2")
        let plain = try await farm.store.registerWorker(Self.registration("w", pool: "default"))
        #expect(plain.name == "w-3")
        #expect(try await worker(farm, showing: keys[0]) == first.id)
        #expect(try await worker(farm, showing: keys[1]) == second.id)
        // Who comes by a token with the instance of the first is the first: its key is over.
        var registration = Self.registration("w", pool: "default")
        registration.instance = keys[1]
        #expect(try await farm.store.registerWorker(registration).id == second.id)
        #expect(try await worker(farm, showing: keys[1]) == nil)
    }

    @Test("a revoked token keeps those that joined, or takes them along with what they hold")
    func revocation() async throws {
        let farm = try await Farm()
        let token = try await token(farm, .pool, pool: "default")
        let keys = keys(2)
        let workers = [
            try await join(farm, token, keys[0], name: "a"),
            try await join(farm, token, keys[1], name: "b"),
        ]
        let other = try await self.token(farm, .once)
        let stranger = WorkerKey.random()
        let third = try await join(farm, other, stranger, name: "c")
        try await farm.job()
        let claim = try await farm.store.claimTasks(worker: workers[0].id, limit: 1)
        guard case .tasks(let tasks) = claim else {
            Issue.record("nothing was claimed: \(claim)")
            return
        }
        #expect(tasks.count == 1)
        #expect(try await farm.store.revokeToken(token, by: "root") == [])
        #expect(try await worker(farm, showing: keys[0]) == workers[0].id)
        let removed = try await farm.store.revokeToken(token, withWorkers: true, by: "root")
        #expect(Set(try #require(removed)) == Set(workers.map(\.id)))
        for key in keys { #expect(try await worker(farm, showing: key) == nil) }
        #expect(try await worker(farm, showing: stranger) == third.id)
        #expect(try await farm.store.workers().map(\.name) == ["c"])
        let next = try await farm.store.claimTasks(worker: third.id, limit: 1)
        guard case .tasks(let released) = next else {
            Issue.record("nothing was released: \(next)")
            return
        }
        #expect(released.map(\.fence.task) == tasks.map(\.fence.task))
        let trail = try await farm.store.auditTrail(limit: 20)
        #expect(
            trail.filter { $0.action == "worker.removed" }.map(\.target).sorted() == ["a", "b"]
        )
        #expect(trail.filter { $0.action == "worker.joined" }.count == 3)
        #expect(trail.filter { $0.action == "token.revoked" }.count == 1)
    }

    @Test("a worker that is removed is not known any more, and its key is over")
    func removal() async throws {
        let farm = try await Farm()
        let token = try await token(farm, .pool, pool: "default")
        let key = WorkerKey.random()
        let joined = try await join(farm, token, key)
        #expect(try await farm.store.removeWorker(joined.id, by: "ops"))
        #expect(try await !farm.store.removeWorker(.random(), by: "ops"))
        #expect(try await worker(farm, showing: key) == nil)
        let beat = HeartbeatRequest(epoch: joined.epoch, state: .idle, running: [])
        #expect(try await farm.store.heartbeat(worker: joined.id, beat) == .unknownWorker)
        // The token counts still: the name is free, and it joins anew.
        let again = try await join(farm, token, WorkerKey.random())
        #expect(again.id == joined.id)
    }

    @Test("a worker that renews its key while it is removed has none afterwards")
    func removedWhileRenewing() async throws {
        let farm = try await Farm()
        let keys = keys(2)
        let joined = try await join(farm, try await token(farm, .once), keys[0])
        #expect(try await worker(farm, showing: keys[0]) == joined.id)
        let (renewal, removal) = try await farm.pool.withTransaction { connection in
            // The renewal has written its key when it comes to the audit.
            try await connection.execute("LOCK TABLE audit IN SHARE MODE")
            let renewal = Task {
                try await farm.store.renewCredential(
                    of: joined.id,
                    next: BlobDigest(ofText: keys[1]),
                    lifetime: Self.day,
                    by: "fleet"
                )
            }
            try await farm.pool.waitForWaiters(1)
            let removal = Task { try await farm.store.removeWorker(joined.id, by: "ops") }
            try await farm.pool.waitForWaiters(2)
            return (renewal, removal)
        }
        #expect(try await renewal.value)
        #expect(try await removal.value)
        for key in keys { #expect(try await worker(farm, showing: key) == nil) }
        #expect(try await farm.store.audit() == [])
    }
}
