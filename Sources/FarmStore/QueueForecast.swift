import FarmModel

/// What is queued, what is rendered and who can render it, from which the ends of jobs are foreseen; pure.
///
/// The claims that are to come are played through: whoever begins the last of what it holds takes what
/// ``Placement`` would give it, as long as nothing is submitted, paused, failed or lost meanwhile.
struct QueueForecast: Sendable {
    /// What is queued of a job.
    struct Work: Sendable {
        var job: JobID
        var owner: String
        var isLifted = false
        var priority = 0
        /// Its place among jobs of one priority.
        var order: Int64 = 0
        /// The images that nobody holds.
        var images: Int
        /// The images of a task.
        var taskImages = 1
        /// The predicted work of one image, in floating point operations.
        var imageCost: Double
        /// How much longer its pictures take than is predicted.
        var ratio = 1.0
        /// Which of the workers can render it.
        var able: Set<Int>
    }

    /// What a worker holds of a job: a task.
    struct Held: Sendable {
        var job: JobID
        var attempt: AttemptID
        /// Its place among what its worker holds: what is begun goes first, then what was claimed first.
        var order = Order(isAhead: false, moment: 0)
        /// Those that are not delivered.
        var images: Int
        /// The predicted work of one of them, in floating point operations.
        var imageCost: Double
        /// How much of the first is done, 0…1, and how many seconds ago it was so.
        var done = 0.0
        var since = 0.0
        /// Whether that is a guess: the worker has told nothing of the image yet.
        var isGuess = false
        var ratio = 1.0

        /// When something was begun or, where it was not, claimed, in seconds.
        struct Order: Sendable, Hashable {
            var isAhead: Bool
            var moment: Double

            static func < (one: Order, other: Order) -> Bool {
                (one.isAhead ? 1 : 0, one.moment) < (other.isAhead ? 1 : 0, other.moment)
            }
        }

        /// How long it still takes.
        func seconds(at speed: Double) -> Double {
            let image = imageCost / speed * ratio
            guard images > 0 else { return 0 }
            // What is not delivered is not over, however late it is.
            return Double(images) * image - min(0.95 * image, done * image + since)
        }
    }

    /// A worker, with its speed in floating point operations a second and what it holds in order.
    struct Worker: Sendable {
        var speed: Double
        var held: [Held] = []
    }

    /// How many claims are played through at most.
    private static let mostClaims = 100_000

    var works: [Work]
    var workers: [Worker]
    var owners: [String: OwnerView] = [:]
    /// How many seconds ago it was so, but for one job that is known as of now.
    var age = 0.0
    var known: JobID?

    /// Takes what is known of a job as of now.
    ///
    /// - Parameters:
    ///   - job: The job.
    ///   - images: Those that nobody holds.
    ///   - held: What each worker holds of it, by its place.
    ///   - ratio: How much longer its pictures take than is predicted.
    ///   - age: How many seconds ago everything else was as it is here.
    mutating func renew(
        _ job: JobID,
        images: Int,
        held: [Int: [Held]],
        ratio: Double,
        age: Double
    ) {
        self.age = age
        known = job
        for index in works.indices where works[index].job == job {
            works[index].images = images
            works[index].ratio = ratio
        }
        for index in workers.indices {
            var all = workers[index].held.filter { $0.job != job }
            for var rest in held[index] ?? [] {
                rest.ratio = ratio
                all.append(rest)
            }
            workers[index].held = all.sorted { $0.order < $1.order }
        }
    }

    /// In how many seconds a job's last picture is done.
    ///
    /// - Parameter job: A job with images that are queued or held.
    /// - Returns: The seconds; nil where nobody can render what is left of it, or that is too far away.
    func end(of job: JobID) -> Double? {
        var run = Run(self)
        return run.end(of: job)
    }

    /// One play of the claims to come.
    private struct Run {
        private let forecast: QueueForecast
        /// When each worker is done with what it holds.
        private var free: [Double]
        /// Those that may still find something, the next that claims first.
        private var claimants: Heap
        private var left: [Int]
        private var charges: [String: Double]
        /// The works that are lifted, and those of each owner, in the order in which they go.
        private var lifted: [Int] = []
        private var queues: [String: [Int]] = [:]
        private var ends: [JobID: Double] = [:]

        init(_ forecast: QueueForecast) {
            self.forecast = forecast
            left = forecast.works.map(\.images)
            charges = forecast.owners.mapValues(\.charge)
            free = []
            claimants = Heap()
            for (index, worker) in forecast.workers.enumerated() {
                var end = -forecast.age
                var begin = end
                for held in worker.held {
                    // What is held now was not over before.
                    begin = held.job == forecast.known ? max(0, end) : end
                    end = begin
                    end += held.seconds(at: worker.speed)
                    ends[held.job] = max(ends[held.job] ?? 0, end)
                }
                end = max(0, end)
                free.append(end)
                // It claims the next task when it begins the one that it claimed ahead.
                claimants.push(index, at: worker.held.count > 1 ? max(0, begin) : 0, free: end)
            }
            let sorted = forecast.works.indices.filter { forecast.works[$0].images > 0 }
                .sorted { Self.goesBefore(forecast.works[$0], forecast.works[$1]) }
            for index in sorted {
                if forecast.works[index].isLifted {
                    lifted.append(index)
                } else {
                    queues[forecast.works[index].owner, default: []].append(index)
                }
            }
        }

        private static func goesBefore(_ one: Work, _ other: Work) -> Bool {
            if one.priority != other.priority { return one.priority > other.priority }
            return one.order < other.order
        }

        mutating func end(of job: JobID) -> Double? {
            let wanted = forecast.works.indices.filter { forecast.works[$0].job == job }
            var claims = 0
            while wanted.contains(where: { left[$0] > 0 }) {
                guard claims < QueueForecast.mostClaims, let next = claimants.pop() else {
                    return nil
                }
                claims += 1
                guard let work = choose(for: next.worker) else { continue }
                let begin = max(next.moment, free[next.worker])
                take(work, by: next.worker, at: begin)
                claimants.push(next.worker, at: begin, free: free[next.worker])
            }
            return ends[job]
        }

        /// What a worker that claims takes: of a lifted job, else of the owner that has got least.
        private func choose(for worker: Int) -> Int? {
            func canRun(_ index: Int) -> Bool {
                left[index] > 0 && forecast.works[index].able.contains(worker)
            }
            if let first = lifted.first(where: canRun) { return first }
            var best: (work: Int, share: Double, owner: String)?
            for (owner, queue) in queues {
                guard let first = queue.first(where: canRun) else { continue }
                let share = (charges[owner] ?? 0) / (forecast.owners[owner]?.weight ?? 1)
                if let best, (best.share, best.owner) < (share, owner) { continue }
                best = (first, share, owner)
            }
            return best?.work
        }

        /// A worker takes a part of what is left: a task, or more of them where very many are left.
        private mutating func take(_ index: Int, by worker: Int, at begin: Double) {
            let work = forecast.works[index]
            let tasks = left[index] / max(1, work.taskImages) / (8 * max(1, work.able.count))
            let images = min(left[index], work.taskImages * max(1, tasks))
            left[index] -= images
            if left[index] == 0 {
                lifted.removeAll { $0 == index }
                queues[work.owner]?.removeAll { $0 == index }
            }
            let cost = work.imageCost * Double(images)
            charges[work.owner, default: 0] += cost
            free[worker] = begin + cost / forecast.workers[worker].speed * work.ratio
            ends[work.job] = max(ends[work.job] ?? 0, free[worker])
        }
    }

    /// Workers by the moment at which they claim, of two those that are done first: a binary heap.
    private struct Heap {
        struct Entry {
            var moment: Double
            var free: Double
            var worker: Int

            static func < (one: Entry, other: Entry) -> Bool {
                (one.moment, one.free, one.worker) < (other.moment, other.free, other.worker)
            }
        }

        private var entries: [Entry] = []

        mutating func push(_ worker: Int, at moment: Double, free: Double) {
            entries.append(Entry(moment: moment, free: free, worker: worker))
            var place = entries.count - 1
            while place > 0, entries[place] < entries[(place - 1) / 2] {
                entries.swapAt(place, (place - 1) / 2)
                place = (place - 1) / 2
            }
        }

        mutating func pop() -> Entry? {
            guard let first = entries.first else { return nil }
            let last = entries.removeLast()
            guard !entries.isEmpty else { return first }
            entries[0] = last
            var place = 0
            while true {
                var least = place
                for child in [2 * place + 1, 2 * place + 2]
                where child < entries.count && entries[child] < entries[least] {
                    least = child
                }
                guard least != place else { return first }
                entries.swapAt(place, least)
                place = least
            }
        }
    }
}
