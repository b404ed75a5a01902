import FarmModel

/// How long pictures take against what their cost and the workers' speeds predict.
struct Pace: Sendable, Hashable {
    /// By how much predictions are multiplied.
    var ratio: Double
    /// How far off the ratio may be: its standard deviation, as a part of it.
    var error: Double

    /// What nothing was measured of.
    static let unknown = Pace(ratio: 1, error: 0.4)

    /// How much the machines themselves change from one minute to the next, as a standard deviation.
    private static let drift = 0.14

    /// The half-width of the band in which nine of ten ends lie, as a part of the time that is left.
    ///
    /// It is made of how sure the pace is, of how much workers change, and of the last picture, whose end
    /// is the job's.
    ///
    /// - Parameters:
    ///   - progress: The part of the job's images that are done, 0…1.
    ///   - seconds: How long the job still takes.
    ///   - image: How long one image takes.
    /// - Returns: At most a quarter once a tenth is done, half before.
    func spread(after progress: Double, of seconds: Double, image: Double) -> Double {
        let limit = progress < 0.1 ? 0.5 : 0.25
        guard seconds > 0 else { return limit }
        let grain = 0.5 * image / seconds
        let deviation = (error * error + Self.drift * Self.drift + grain * grain).squareRoot()
        return min(limit, 1.65 * deviation)
    }
}

/// A picture that was delivered, and when its worker could begin it.
struct TimedDelivery: Sendable, Hashable {
    var job: JobID
    var attempt: AttemptID
    var worker: WorkerID
    /// When it was delivered, and how long ago that was, in seconds.
    var at: Double
    var ago = 0.0
    /// When the attempt was claimed, or what the worker rendered before was over, in seconds.
    var since: Double
    /// Its predicted work, in floating point operations.
    var cost: Double
    /// What a picture of the attempt took on average, in seconds; nil while the attempt runs.
    var seconds: Double?
}

/// An attempt that succeeded.
struct TimedAttempt: Sendable, Hashable {
    var job: JobID
    var worker: WorkerID
    /// Its predicted work, and that of one picture.
    var cost: Double
    var imageCost: Double
    var seconds: Double
}

/// What tells the pace of a job: what its own latest pictures took over what was predicted, and what
/// other jobs' of the model did.
struct PaceSamples: Sendable, Hashable {
    /// Of the job's pictures.
    var own: [Double] = []
    /// Of pictures that were the first of their attempts: with what is done once for all of them.
    var firsts: [Double] = []
    /// Of other jobs' attempts, the nearest in cost.
    var others: [Double] = []

    /// How far measurements of one thing are apart at least, as standard deviations: few that agree by
    /// chance are no proof.
    private static let leastScatter = 0.1
    /// What other jobs tell of this one counts for at most so many of its own pictures.
    private static let mostWeight = 8.0

    init() {}

    /// Measures a job's latest deliveries.
    ///
    /// Of an attempt with several of them the times between count, which hold everything that a picture
    /// takes and nothing that is done once. Of one with a single picture its own time counts.
    ///
    /// - Parameters:
    ///   - deliveries: The job's, in the order of time.
    ///   - speed: What a worker does in a second, in floating point operations; nil where it is not known.
    init(_ deliveries: [TimedDelivery], speed: (WorkerID) -> Double?) {
        for (_, run) in Dictionary(grouping: deliveries, by: \.attempt) {
            guard let first = run.first, first.cost > 0, let speed = speed(first.worker) else {
                continue
            }
            let unit = first.cost / speed
            if run.count > 1 {
                own += zip(run, run.dropFirst()).map { max(0, $1.at - $0.at) / unit }
            } else if let seconds = first.seconds, seconds > 0 {
                own.append(seconds / unit)
            } else if first.at > first.since {
                firsts.append((first.at - first.since) / unit)
            }
        }
    }

    /// The pace that follows.
    ///
    /// What the job's pictures and the others' took are weighed by how far either is scattered.
    var pace: Pace {
        let known = Self.known(others)
        guard let measured = Self.mean(of: own, firsts) else { return known ?? .unknown }
        let (ratio, scatter, count) = measured
        guard let known else {
            return Pace(ratio: ratio, error: scatter / count.squareRoot())
        }
        let precision = count / (scatter * scatter) + 1 / (known.error * known.error)
        let share = scatter / known.error
        let weight = min(Self.mostWeight, share * share)
        return Pace(
            ratio: (count * ratio + weight * known.ratio) / (count + weight),
            error: 1 / precision.squareRoot()
        )
    }

    /// What other jobs tell.
    private static func known(_ ratios: [Double]) -> Pace? {
        guard let middle = ratios.median else { return nil }
        let few = ratios.count < 4 ? 0.25 : leastScatter
        return Pace(ratio: middle, error: max(few, ratios.scatter(around: middle)))
    }

    /// The mean of a job's pictures, none of which counts for more than three of the usual; their scatter
    /// and their number.
    private static func mean(
        of own: [Double],
        _ firsts: [Double]
    ) -> (ratio: Double, scatter: Double, count: Double)? {
        guard let middle = own.median, middle > 0 else {
            // At most so long, whatever came with it.
            return firsts.min().map { ($0, 0.5, 1) }
        }
        let sum = own.reduce(0) { $0 + Swift.min($1, 3 * middle) }
        let scatter = own.count < 3 ? 0.35 : max(leastScatter, own.scatter(around: middle))
        return (sum / Double(own.count), scatter, Double(own.count))
    }
}

/// The measured times of which the paces of jobs follow, as they were at one moment.
struct PaceBook: Sendable {
    /// What workers do in a second, in floating point operations: as each told, or the usual of its model.
    let speeds: [WorkerID: Double]
    /// The latest attempts at each model, the latest first.
    private var attempts: [String: [TimedAttempt]] = [:]
    /// What was found for a model and a cost.
    private var known: [Key: [Double]] = [:]

    private struct Key: Hashable {
        var model: String
        var exponent: Int
    }

    /// How many attempts are looked at for a cost.
    private static let mostAttempts = 48

    init(speeds: [WorkerID: Double] = [:], attempts: [String: [TimedAttempt]] = [:]) {
        self.speeds = speeds
        self.attempts = attempts
    }

    /// The pace of a job by its own deliveries and by what the model's other jobs took.
    ///
    /// - Parameters:
    ///   - model: The digest of its model.
    ///   - imageCost: The predicted work of one of its images.
    ///   - deliveries: Its latest, in the order of time.
    /// - Returns: The pace.
    mutating func pace(
        model: String,
        imageCost: Double,
        _ deliveries: [TimedDelivery] = []
    ) -> Pace {
        var samples = PaceSamples(deliveries) { [speeds] in speeds[$0] }
        samples.others = others(model, imageCost, except: deliveries.first?.job)
        return samples.pace
    }

    /// What attempts took whose images cost about as much, those of other jobs; of any cost where there
    /// are too few.
    private mutating func others(
        _ model: String,
        _ imageCost: Double,
        except job: JobID?
    ) -> [Double] {
        let all = attempts[model] ?? []
        guard !all.isEmpty, imageCost > 0 else { return [] }
        let key = Key(model: model, exponent: Int(imageCost.exponent))
        if job == nil, let known = known[key] { return known }
        // One answer for all costs between two powers of two: a queue has very many jobs.
        let middle = job == nil ? Self.power(of: imageCost) * 1.5 : imageCost
        let others = all.filter { $0.job != job }
        let near = others.filter { (0.5...2).contains($0.imageCost / middle) }
        let ratios = (near.count < 4 ? others : near).prefix(Self.mostAttempts)
            .compactMap { attempt in
                speeds[attempt.worker].map { attempt.seconds * $0 / attempt.cost }
            }
        if job == nil { known[key] = ratios }
        return ratios
    }

    /// The greatest power of two that is not above a number.
    private static func power(of number: Double) -> Double {
        Double(sign: .plus, exponent: number.exponent, significand: 1)
    }
}

extension [Double] {
    /// The one in the middle, or between the two that are; nil of none.
    fileprivate var median: Double? {
        guard !isEmpty else { return nil }
        let sorted = sorted()
        let half = count / 2
        return count % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
    }

    /// How far they are from their middle, as a part of it: a standard deviation that a few outliers
    /// do not move.
    fileprivate func scatter(around middle: Double) -> Double {
        guard middle > 0, let deviation = map({ abs($0 - middle) }).median else { return 0 }
        return 1.5 * deviation / middle
    }
}
