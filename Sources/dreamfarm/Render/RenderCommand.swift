import ArgumentParser
import Diffusion
import Foundation
import Imaging
import Tensors

/// `dreamfarm render`: pictures on this machine, with no farm.
struct RenderCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "render",
        abstract: "Render pictures on this machine, with no farm.",
        discussion: """
            A prompt may name its references as [ref#1] to [ref#9]. With several prompts, seeds \
            or a count, the model is read once and every picture gets a name of its own. \
            dreamfarm render --prompt - --output - reads the one and writes the other for other programs.
            """
    )

    @OptionGroup(title: "Model") var model: ModelOptions
    @OptionGroup(title: "Picture") var picture: PictureOptions
    @OptionGroup(title: "Output") var output: OutputOptions

    func run() async throws {
        let progress = ProgressDisplay()
        let interruption = Interruption()
        defer { progress.close() }
        let plan = try RenderPlan(model: model, picture: picture, output: output)
        let display = try output.showing.display(
            isOutputTaken: output.output == StandardOutput.name
        )
        let pipeline = try await plan.makePipeline(log: progress.note)
        let group = try plan.makeGroup(for: pipeline) { StandardError.write($0 + "\n") }
        do {
            try render(plan, pipeline, progress, interruption, display)
        } catch {
            // what ended another rank comes before what it meant for this one
            try group?.close()
            throw error
        }
        try pipeline.join(nil)
        try group?.close()
    }

    private func render(
        _ plan: RenderPlan,
        _ pipeline: RenderPipeline,
        _ progress: ProgressDisplay,
        _ interruption: Interruption,
        _ display: PictureDisplay?
    ) throws {
        try interruption.check()
        let jobs = try plan.jobs(for: pipeline, log: progress.note)
        for job in jobs where !job.isForStandardOutput {
            try OutputFile.checkWritable(job.path)
        }
        // the encoders go before the first picture, so all conditions have to stay
        pipeline.artifacts.limit = .max
        try pipeline.encodeConditions(of: jobs.map(\.request))
        pipeline.releaseEncoders()
        try interruption.check()

        for (index, job) in jobs.enumerated() {
            progress.begin(
                job,
                adapters: pipeline.adapters.summary,
                index: index,
                of: jobs.count
            )
            let dump = output.dump.map { _ in IntermediateDump() }
            let picture = try pipeline.render(job.request, dump: dump) { step in
                progress.show(step)
                try interruption.check()
                if let every = output.previewEvery, step.step % every == 0, step.step < step.steps {
                    let preview = try PNGEncoder.encode(try step.preview())
                    try AtomicFile.write(job.previewPath, preview)
                }
            }
            if let dump, let path = output.dump {
                try dump.write(to: path)
            }
            if job.isForStandardOutput {
                try StandardOutput.write(picture.png)
            } else {
                try AtomicFile.write(job.path, picture.png)
            }
            progress.end(job)
            try display?.show(picture.png, name: job.place)
        }
    }
}

/// One picture to render, and where it goes.
struct RenderJob {
    let request: RenderRequest
    let path: String

    var isForStandardOutput: Bool { path == StandardOutput.name }

    /// What messages call the place it goes to.
    var place: String { isForStandardOutput ? "standard output" : path }

    /// Where previews of it go.
    var previewPath: String {
        let stem = path.hasSuffix(".png") ? String(path.dropLast(4)) : path
        return "\(stem).preview.png"
    }
}
