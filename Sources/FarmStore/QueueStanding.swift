import FarmModel
import FoundationEssentials
import Postgres

/// What is queued of a job, with what it asks of a worker.
struct QueuedJob: Sendable {
    let work: QueueForecast.Work
    let modelDigest: String
    let requirement: TaskRequirement
    let maxWorkers: Int?
    let finishBy: Date?

    init(_ row: Row) throws {
        work = QueueForecast.Work(
            job: try row.decode("job_id"),
            owner: try row.decode("owner"),
            isLifted: try row.decode("is_lifted"),
            priority: try row.decode("priority"),
            order: try row.decode("id"),
            images: try row.decode("images_left"),
            taskImages: max(1, try row.decode("task_images")),
            imageCost: try row.decode("image_cost"),
            able: []
        )
        modelDigest = try row.decode("model_digest")
        requirement = try TaskRequirement(row)
        maxWorkers = try row.decodeIfPresent("max_workers")
        finishBy = try row.decodeIfPresent("finish_by")
    }
}

/// What decides which workers can run something.
struct AbilityKey: Hashable {
    var digest: String
    var requirement: TaskRequirement
}

/// What is left of a task that a worker has.
struct HeldWork: Sendable {
    let worker: WorkerID
    var work: QueueForecast.Held

    /// In floating point operations.
    var cost: Double { work.imageCost * (Double(work.images) - (work.images > 0 ? work.done : 0)) }
}

/// What is queued, what is rendered and who can render it at one moment, of which all forecasts are made.
package struct QueueStanding: Sendable {
    /// As if nothing but what the other jobs took were known of each.
    var forecast: QueueForecast
    /// The jobs that are queued.
    let queued: Set<JobID>
    /// How many images of each job workers hold.
    var atWorkers: [JobID: Int] = [:]
    /// Where each worker stands in the forecast.
    private var places: [WorkerID: Int] = [:]
    /// What the paces of jobs follow from.
    var paces: PaceBook
    /// What the usual worker of each model does in a second, in floating point operations.
    let usualSpeeds: [String: Double]
    /// When it was so.
    let moment: ContinuousClock.Instant

    init(
        at moment: ContinuousClock.Instant,
        workers: [WorkerRecord],
        queued: [QueuedJob],
        held: [HeldWork],
        owners: [String: OwnerView],
        paces: PaceBook,
        deliveries: [JobID: [TimedDelivery]]
    ) {
        self.moment = moment
        self.paces = paces
        self.queued = Set(queued.map(\.work.job))
        forecast = QueueForecast(works: [], workers: [], owners: owners)
        usualSpeeds = Dictionary(grouping: workers, by: \.modelDigest)
            .compactMapValues(\.medianSpeed)
        var known: [WorkerRecord] = []
        for worker in workers {
            guard let speed = paces.speeds[worker.id] else { continue }
            places[worker.id] = known.count
            known.append(worker)
            forecast.workers.append(QueueForecast.Worker(speed: speed))
        }
        var holders: [JobID: Set<Int>] = [:]
        for rest in held {
            atWorkers[rest.work.job, default: 0] += rest.work.images
            guard let place = places[rest.worker] else { continue }
            holders[rest.work.job, default: []].insert(place)
            var work = rest.work
            work.ratio =
                self.paces.pace(
                    model: known[place].modelDigest,
                    imageCost: work.imageCost,
                    deliveries[work.job] ?? []
                ).ratio
            forecast.workers[place].held.append(work)
        }
        var able: [AbilityKey: Set<Int>] = [:]
        for queued in queued {
            var work = queued.work
            let key = AbilityKey(digest: queued.modelDigest, requirement: queued.requirement)
            let all =
                able[key]
                ?? Set(
                    known.indices.filter { known[$0].canRun(model: key.digest, key.requirement) }
                )
            able[key] = all
            work.able = all
            if let most = queued.maxWorkers, most < all.count {
                // Those that are at it stay.
                let own = (holders[work.job] ?? []).intersection(all)
                work.able = Set((own.sorted() + all.subtracting(own).sorted()).prefix(most))
            }
            work.ratio =
                self.paces.pace(
                    model: queued.modelDigest,
                    imageCost: work.imageCost,
                    deliveries[work.job] ?? []
                ).ratio
            forecast.works.append(work)
        }
    }

    /// The pace of a job by its latest deliveries, those that came since among them.
    func pace(of job: JobRecord, _ deliveries: [TimedDelivery]) -> Pace {
        var paces = paces
        return paces.pace(
            model: job.modelDigest,
            imageCost: job.imageCost,
            deliveries
        )
    }

    /// When a job is done, in seconds from now.
    ///
    /// - Parameters:
    ///   - job: The job as it is now.
    ///   - pace: Its pace.
    ///   - held: What workers hold of it now.
    ///   - deliveries: Its latest.
    /// - Returns: Its end; nil where nobody can render what is left of it.
    func end(
        of job: JobRecord,
        at pace: Pace,
        _ held: [HeldWork],
        _ deliveries: [TimedDelivery]
    ) -> Double? {
        var own: [Int: [QueueForecast.Held]] = [:]
        for rest in held {
            guard let place = places[rest.worker] else { continue }
            var work = rest.work
            let last = deliveries.last { $0.attempt == work.attempt }
            if work.isGuess, let last { (work.done, work.since) = (0, last.ago) }
            own[place, default: []].append(work)
        }
        let images = job.images.waiting + job.images.rendering
        var forecast = forecast
        forecast.renew(
            job.id,
            images: max(0, images - held.reduce(0) { $0 + $1.work.images }),
            held: own,
            ratio: pace.ratio,
            age: moment.duration(to: .now).inSeconds
        )
        return forecast.end(of: job.id)
    }

    /// How long an image of a job takes at a pace, in seconds.
    func imageSeconds(of job: JobRecord, at pace: Pace) -> Double {
        CostModel.seconds(job.imageCost * pace.ratio, speed: usualSpeeds[job.modelDigest]) ?? 0
    }
}

extension JobRecord {
    /// The predicted work of one of its images on average, in floating point operations.
    fileprivate var imageCost: Double { cost / Double(max(1, images.total)) }
}
