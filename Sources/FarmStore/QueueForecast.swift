import FarmModel

/// What is queued, what is rendered and who can render it, from which the ends of jobs are foreseen; pure.
///
/// The claims that are to come are played through: whoever is free takes what ``Placement`` would give it, as
/// long as nothing is submitted, paused, failed or lost meanwhile.
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

    /// What a worker holds of a job.
    struct Held: Sendable {
        var job: JobID
        /// What is left of it, in floating point operations.
        var cost: Double
        var ratio = 1.0
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
        /// When each worker is free.
        private var free: [Double]
        /// Those that may still find something, the next free first.
        private var idle: Heap
        private var left: [Int]
        private var charges: [String: Double]
        /// The works of each owner in the order in which they go.
        private var queues: [String: [Int]] = [:]
        private var ends: [JobID: Double] = [:]

        init(_ forecast: QueueForecast) {
            self.forecast = forecast
            left = forecast.works.map(\.images)
            charges = forecast.owners.mapValues(\.charge)
            free = []
            idle = Heap()
            for (index, worker) in forecast.workers.enumerated() {
                var moment = 0.0
                for held in worker.held {
                    moment += held.cost / worker.speed * held.ratio
                    ends[held.job] = max(ends[held.job] ?? 0, moment)
                }
                free.append(moment)
                idle.push(index, at: moment)
            }
            for index in forecast.works.indices where forecast.works[index].images > 0 {
                queues[forecast.works[index].owner, default: []].append(index)
            }
            for owner in queues.keys {
                queues[owner]?.sort { Self.goesBefore(forecast.works[$0], forecast.works[$1]) }
            }
        }

        private static func goesBefore(_ one: Work, _ other: Work) -> Bool {
            if one.isLifted != other.isLifted { return one.isLifted }
            if one.priority != other.priority { return one.priority > other.priority }
            return one.order < other.order
        }

        mutating func end(of job: JobID) -> Double? {
            let wanted = forecast.works.indices.filter { forecast.works[$0].job == job }
            var claims = 0
            while wanted.contains(where: { left[$0] > 0 }) {
                guard claims < QueueForecast.mostClaims, let worker = idle.pop() else { return nil }
                claims += 1
                guard let work = choose(for: worker) else { continue }
                take(work, by: worker)
                idle.push(worker, at: free[worker])
            }
            return ends[job]
        }

        /// What a worker that is free takes: of a lifted job, else of the owner that has got least.
        private mutating func choose(for worker: Int) -> Int? {
            var best: (work: Int, isLifted: Bool, share: Double)?
            for (owner, queue) in queues {
                let first = queue.first { left[$0] > 0 && forecast.works[$0].able.contains(worker) }
                guard let first else { continue }
                let isLifted = forecast.works[first].isLifted
                let share = (charges[owner] ?? 0) / (forecast.owners[owner]?.weight ?? 1)
                if let best,
                    (best.isLifted ? 0 : 1, best.share, best.work)
                        < (isLifted ? 0 : 1, share, first)
                {
                    continue
                }
                best = (first, isLifted, share)
            }
            return best?.work
        }

        /// A worker takes a part of what is left: a task, or more of them where very many are left.
        private mutating func take(_ index: Int, by worker: Int) {
            let work = forecast.works[index]
            let tasks = left[index] / max(1, work.taskImages) / (8 * max(1, work.able.count))
            let images = min(left[index], work.taskImages * max(1, tasks))
            left[index] -= images
            if left[index] == 0 { queues[work.owner]?.removeAll { $0 == index } }
            let cost = work.imageCost * Double(images)
            charges[work.owner, default: 0] += cost
            free[worker] += cost / forecast.workers[worker].speed * work.ratio
            ends[work.job] = max(ends[work.job] ?? 0, free[worker])
        }
    }

    /// Workers by the moment at which they are free: a binary heap.
    private struct Heap {
        private var entries: [(moment: Double, worker: Int)] = []

        mutating func push(_ worker: Int, at moment: Double) {
            entries.append((moment, worker))
            var place = entries.count - 1
            while place > 0, entries[place] < entries[(place - 1) / 2] {
                entries.swapAt(place, (place - 1) / 2)
                place = (place - 1) / 2
            }
        }

        mutating func pop() -> Int? {
            guard let first = entries.first else { return nil }
            let last = entries.removeLast()
            guard !entries.isEmpty else { return first.worker }
            entries[0] = last
            var place = 0
            while true {
                var least = place
                for child in [2 * place + 1, 2 * place + 2]
                where child < entries.count && entries[child] < entries[least] {
                    least = child
                }
                guard least != place else { return first.worker }
                entries.swapAt(place, least)
                place = least
            }
        }
    }
}

/// How long pictures of a job took against what was predicted.
struct JobPace: Sendable, Hashable {
    /// The time that each of the latest attempts took, over what was predicted.
    var ratios: [Double]
    /// How much longer a worker was at an attempt than it computed.
    var overhead = 1.0

    /// By how much predictions of the job are multiplied: 1 before anything is known.
    var ratio: Double {
        ratios.isEmpty ? 1 : min(10, max(0.1, Self.median(ratios) * overhead))
    }

    /// The half-width of the band in which nine of ten ends lie, as a part of the time that is left.
    ///
    /// - Parameter progress: The part of the job's images that are done, 0…1.
    /// - Returns: At most a quarter once a tenth is done.
    func spread(after progress: Double) -> Double {
        guard ratios.count >= 3 else { return progress < 0.1 ? 0.5 : 0.25 }
        let middle = Self.median(ratios)
        let deviation = Self.median(ratios.map { abs($0 - middle) }) / middle
        let spread = 0.15 + 1.5 * deviation
        return min(spread, progress < 0.1 ? 0.5 : 0.25)
    }

    private static func median(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        let half = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
    }
}
