import FarmModel
import Foundation

/// Inputs to begin with: without them libFuzzer has to find the formats by itself.
enum Seeds {
    /// Writes the seeds of a reader into a folder.
    ///
    /// Pictures come from the tests' fixtures instead.
    static func write(of reader: Reader, to folder: String) throws {
        let inputs: [Data] =
            switch reader {
            case .specification: specifications.map { Data($0.utf8) }
            case .safetensors: [weights]
            case .picture: []
            case .message: try messages
            }
        for (number, input) in inputs.enumerated() {
            try input.write(to: URL(fileURLWithPath: "\(folder)/seed-\(number)"))
        }
    }

    private static let specifications = [
        """
        specification: dreamfarm/1
        name: spring
        model: starter
        priority: 60
        after: [first]
        parameters:
          prompt: ["a woman from [ref#1] wears [ref#2]", &rain "in the rain", *rain]
          negative_prompt: blurred
          references:
            - [{image: woman.png, task: id}, {image: jacket.png, task: ip, background: keep}]
            - [{image: man.png, task: id}, {image: jacket.png, task: ip, slot: 2}]
          loras: [[{file: a.safetensors, scale: 0.5}]]
          seed: [1-3, 7, 9-11]
          size: [1024x768, 512x512]
          guidance: [3.5, 4]
        combination: prompt * (references, loras) * seed * size * guidance
        render: {steps: 12, true_cfg: {scale: 2, start: 1, end: 3}, step_cache: 0}
        requirements: {precision: int8, memory: 24GiB, tags: [gpu], group: 2}
        class: same
        chunk: {count: 4}
        start_after: 2026-01-01T00:00:00Z
        finish_by: 2026-01-02T00:00:00Z
        on_done: {webhook: "https://example.org/done"}
        output: {format: png, name: "{job}/{index}-{prompt.index}-s{seed}-{width}x{height}.png"}
        limits: {max_attempts: 3, max_failed: 2}
        """,
        #"{"parameters": {"seed": [1, 2, "3-9"], "prompt": ["a cat", "a dog"], "guidance": 3}}"#,
        "parameters: {prompt: !!str 1, seed: 1-100000}\n",
    ]

    private static var weights: Data {
        let header = """
            {"__metadata__":{"format":"pt"},\
            "a.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},\
            "b.weight":{"dtype":"BF16","shape":[4],"data_offsets":[16,24]},\
            "c.weight":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[24,28]},\
            "c.scale_weight":{"dtype":"F32","shape":[],"data_offsets":[28,32]},\
            "d":{"dtype":"F16","shape":[0,3],"data_offsets":[32,32]}}
            """
        let values = Data(repeating: 0x3F, count: 32)
        return withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Data($0) }
            + Data(header.utf8) + values
    }

    private static let fence = AttemptFence(task: .random(), attempt: .random(), epoch: 7)

    private static var messages: [Data] {
        get throws {
            let report = AttemptReport(stepsComputed: 3, seconds: 1.5)
            var registration = RegistrationRequest(
                name: "w",
                model: RendererModel(
                    name: "starter",
                    digest: "d",
                    precision: "float32",
                    defaults: ModelDefaults(
                        width: 64,
                        height: 64,
                        refRes: 64,
                        steps: 8,
                        guidance: 4
                    ),
                    costs: .flux
                )
            )
            registration.tags = ["amx"]
            registration.memoryBytes = 1 << 40
            let progress = AttemptProgress(
                fence: fence,
                image: 1,
                step: 3,
                steps: 8,
                report: report
            )
            let order = CancelOrder(attempt: fence.attempt, mode: CancelMode.allCases[0])
            let samples: [any (Codable & Equatable)] = [
                ClaimRequest(epoch: 4, limit: 2, waitSeconds: 20),
                ClaimAnswer(reason: .noTask, detail: "none", retryAfterSeconds: 1),
                AttemptRequest(fence: fence, report: report),
                FailureRequest(fence: fence, failureClass: .transient, message: "no"),
                HeartbeatRequest(epoch: 4, state: .idle, running: [progress]),
                HeartbeatAnswer(cancel: [order], stale: [fence.attempt], heartbeatSeconds: 5),
                registration,
            ]
            return try samples.map { sample in
                let name = "\(type(of: sample))"
                guard
                    let kind = MessageReader.kinds.firstIndex(where: { $0.name == name })
                else { preconditionFailure("\(name) is no message that is read") }
                return Data([UInt8(kind)]) + (try FarmJSON.encode(sample))
            }
        }
    }
}
