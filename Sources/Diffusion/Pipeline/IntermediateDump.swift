import Networks
package import Tensors

/// Every intermediate value of one render, under the names of the reference's dump.
///
/// `reference/render_reference.py` lists the names; shapes are its shapes.
package final class IntermediateDump {
    private enum Values {
        case floats([Float])
        case integers([Int64])
    }

    private struct Entry {
        let name: String
        let shape: [Int]
        let values: Values
    }

    private var entries: [Entry] = []

    package init() {}

    /// Records tokens (tokens, channels) as (1, tokens, channels).
    func record(_ name: String, tokens: Tensor) {
        append(name, [1, tokens.rows, tokens.columns], .floats(tokens.values))
    }

    /// Records an intermediate of the transformer's first step.
    func record(step name: String, _ value: Tensor) {
        if name == "temb" {
            append("temb_step0", [1, value.columns], .floats(value.values))
        } else {
            record(name, tokens: value)
        }
    }

    /// Records planes (channels, height · width) as (1, channels, height, width).
    func record(_ name: String, planes: Tensor, _ request: RenderRequest) {
        let ratio = (request.width * request.height) / planes.columns
        let factor = Int(Double(ratio).squareRoot().rounded())
        append(
            name,
            [1, planes.rows, request.height / factor, request.width / factor],
            .floats(planes.values)
        )
    }

    /// Records what is known before the first step.
    func record(
        _ prompt: RenderPipeline.EncodedPrompt,
        vocabulary: Int,
        noise: Tensor,
        references: [Tensor],
        schedule: Schedule,
        context: FluxTransformer.Context,
        positions: [TokenPosition]
    ) {
        append("t5_vocab", [1], .integers([Int64(vocabulary)]))
        for (name, ids) in [("t5_ids", prompt.t5IDs), ("clip_ids", prompt.clipIDs)] {
            append(name, [1, ids.count], .integers(ids.map(Int64.init)))
        }
        record("t5_embeds", tokens: prompt.features)
        append("pooled", [1, prompt.pooled.columns], .floats(prompt.pooled.values))
        record("noise", tokens: noise)
        for (index, tokens) in references.enumerated() {
            record("ref\(index)_latent", tokens: tokens)
        }
        append("sigmas", [schedule.sigmas.count], .floats(schedule.sigmas))
        append(
            "img_ids",
            [positions.count, 3],
            .floats(positions.flatMap { [0, Float($0.row), Float($0.column)] })
        )
        for (name, table) in [("rope_cos", context.rope.cosine), ("rope_sin", context.rope.sine)] {
            // each angle stands for a pair of channels, and is written for both
            append(
                name,
                [table.rows, 2 * table.columns],
                .floats(table.values.flatMap { [$0, $0] })
            )
        }
    }

    /// Writes all of it as a safetensors file, aside and renamed.
    package func write(to path: String) throws(SafetensorsError) {
        let writer = try SafetensorsWriter(
            path: path,
            tensors: entries.map { entry in
                let type: SafetensorsType =
                    switch entry.values {
                    case .floats: .float32
                    case .integers: .int64
                    }
                return SafetensorsWriter.Tensor(name: entry.name, type: type, shape: entry.shape)
            }
        )
        for entry in entries {
            switch entry.values {
            case .floats(let values): try Self.write(values, to: writer)
            case .integers(let values): try Self.write(values, to: writer)
            }
        }
        try writer.finish()
    }

    private static func write<Value>(
        _ values: [Value],
        to writer: SafetensorsWriter
    ) throws(SafetensorsError) {
        let result = values.withUnsafeBytes { bytes -> Result<Void, SafetensorsError> in
            Result { () throws(SafetensorsError) in try writer.write(bytes) }
        }
        try result.get()
    }

    private func append(_ name: String, _ shape: [Int], _ values: Values) {
        entries.append(Entry(name: name, shape: shape, values: values))
    }
}
