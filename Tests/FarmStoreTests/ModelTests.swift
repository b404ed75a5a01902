import FarmModel
import FarmStore
import Postgres
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(10))) struct ModelTests {
    @Test("a model is added once, and neither its name nor its digest means another")
    func adding() async throws {
        let farm = try await PlantedFarm()
        let file = ModelFile(path: "a/b", digest: BlobDigest(ofText: "f"), size: 7)
        func add(_ name: String, _ digest: String) async throws -> AddModelOutcome {
            try await farm.store.addModel(name: name, digest: digest, files: [file], by: "root")
        }
        #expect(try await add("m", "d") == .added)
        #expect(try await add("m", "d") == .existing)
        #expect(try await add("m", "e") == .nameTaken(digest: "d"))
        #expect(try await add("n", "d") == .digestTaken(name: "m"))
        #expect(try await farm.store.modelFiles(of: "m") == [file])
        let model = try #require(try await farm.store.model(named: "m"))
        #expect(model.files == 1)
        #expect(model.bytes == 7)
        #expect(model.workers == 0)
    }

    @Test("the default is the one that was set, else the first recorded")
    func defaults() async throws {
        let farm = try await PlantedFarm()
        #expect(try await farm.store.defaultModel() == nil)
        for name in ["first", "second"] {
            _ = try await farm.store.addModel(name: name, digest: name, files: [], by: "root")
        }
        #expect(try await farm.store.defaultModel()?.name == "first")
        #expect(try await farm.store.setDefaultModel("second", by: "root"))
        #expect(try await !farm.store.setDefaultModel("third", by: "root"))
        #expect(try await farm.store.defaultModel()?.name == "second")
        #expect(try await farm.store.models().map(\.isDefault) == [false, true])
    }

    @Test("a worker adds to a model's constants what an older one did not tell, and takes nothing")
    func constants() async throws {
        let farm = try await PlantedFarm()
        func told(_ worker: String, _ constants: String) async throws -> String? {
            _ = try await farm.register(worker) { $0.costConstants = constants }
            return try await farm.store.model(named: "flux")?.costConstants
        }
        #expect(try await told("a", "{}") == "{}")
        #expect(try await told("b", #"{"x": 1}"#) == #"{"x": 1}"#)
        #expect(try await told("c", #"{"x": 2}"#) == #"{"x": 1}"#)
        #expect(try await told("d", #"{"x": 1, "y": 2}"#) == #"{"x": 1, "y": 2}"#)
        #expect(try await told("a", #"{"x": 1}"#) == #"{"x": 1, "y": 2}"#)
    }

    @Test("a model in use stays, and says who uses it")
    func removing() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register("w1")
        let job = try await farm.job()
        #expect(
            try await farm.store.removeModel("flux", by: "root")
                == .inUse("the worker w1 has it in memory")
        )
        try await farm.pool.execute("UPDATE worker SET state = 'lost'")
        #expect(
            try await farm.store.removeModel("flux", by: "root")
                == .inUse("the job job (\(job)) is not over")
        )
        _ = try await farm.store.cancelJob(job, by: "root")
        #expect(try await farm.store.removeModel("flux", by: "root") == .removed)
        #expect(try await farm.store.removeModel("flux", by: "root") == .notFound)
        #expect(try await farm.store.models().isEmpty)
        // A worker that brings it again puts it on the list again.
        #expect(try await farm.register("w1").id == worker.id)
        #expect(try await farm.store.models().map(\.name) == ["flux"])
    }
}
