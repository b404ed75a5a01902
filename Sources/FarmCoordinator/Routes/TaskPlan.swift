import FarmModel
import FarmStore

/// A job's images cut into tasks.
struct TaskPlan: Sendable {
    var tasks: [NewTask] = []
    /// Predicted work of the whole job, in floating point operations.
    var flops = 0.0
    /// What the costliest image takes.
    var costliestImage: ImageCost?

    /// Cuts a job: images in their order, as many a task as come near the chunk's target time, or
    /// as many as the chunk says.
    ///
    /// - Parameters:
    ///   - job: The job.
    ///   - chunk: How large a task is to be.
    ///   - costs: What predicts the work of an image.
    ///   - sizes: How large the references are.
    ///   - speed: What a worker does in a second; nil where no worker told.
    ///   - workers: How many workers can run it; few images are spread over all of them.
    init(
        _ job: ResolvedJob,
        chunk: JobChunk,
        costs: CostConstants,
        sizes: [BlobDigest: PixelSize],
        speed: Double?,
        workers: Int
    ) {
        let model = CostModel(costs)
        let count = job.imageCount
        let costOf = (0..<count).map { index in
            let cost = model.cost(of: job.settings(at: index), referenceSizes: sizes)
            if cost.flops > costliestImage?.flops ?? 0 { costliestImage = cost }
            return cost.flops
        }
        flops = costOf.reduce(0, +)
        let perTask = CostModel.imagesPerTask(
            chunk,
            imageFlops: flops / Double(max(count, 1)),
            speed: speed,
            images: count,
            workers: workers
        )
        var first = 0
        while first < count {
            let last = min(first + perTask, count)
            tasks.append(
                NewTask(imageCount: last - first, cost: costOf[first..<last].reduce(0, +))
            )
            first = last
        }
    }
}
