import Foundation
import Testing

/// One bad input: what is broken, and what the message must name.
struct BadInput: Sendable, CustomTestStringConvertible {
    let name: String
    let arguments: [String]
    let status: Int32
    /// Texts that the one error line holds.
    let named: [String]
    /// Breaks the model or adds files.
    let prepare: @Sendable (ModelFolder) throws -> Void

    var testDescription: String { name }

    init(
        _ name: String,
        _ arguments: [String] = [],
        status: Int32 = 1,
        named: [String],
        prepare: @escaping @Sendable (ModelFolder) throws -> Void = { _ in }
    ) {
        self.name = name
        self.arguments = arguments
        self.status = status
        self.named = named
        self.prepare = prepare
    }

    /// Runs `dreamfarm render` and checks status, message, and that nothing new lies there.
    func check() throws {
        let folder = try ModelFolder()
        try prepare(folder)
        let before = try folder.files
        var command = ["render", "--model", "model", "--threads", "1"]
        let defaults = [
            "--prompt": "a cat", "--size": "64x64", "--steps": "1", "--seed": "1",
            "--output": "out.png",
        ]
        let hasTask = arguments.contains("--task")
        for (option, value) in defaults.sorted(by: { $0.key < $1.key })
        where !arguments.contains(where: { $0 == option || $0.hasPrefix("\(option)=") })
            && (!hasTask || option == "--output")
        {
            command += [option, value]
        }
        let run = try CommandRun.run(command + arguments, in: folder)
        #expect(run.status == status, "\(name): \(run.lines)")
        #expect(run.errors.count == 1, "\(name): \(run.lines)")
        let error = run.errors.first ?? ""
        for text in named {
            #expect(error.contains(text), "\(name): \(error)")
        }
        #expect(try folder.files == before, "\(name)")
    }
}

/// `dreamfarm render` as a person runs it, with input that is wrong.
@Suite("Bad input of `dreamfarm render`")
struct BadInputTests {
    /// A PNG file of one pixel.
    private static let dot =
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJ"
        + "RU5ErkJggg=="

    @Test(
        "a usage error ends with 2",
        arguments: [
            BadInput("steps", ["--steps", "abc"], status: 2, named: ["--steps", "abc"]),
            BadInput("threads", ["--threads", "0"], status: 2, named: ["--threads 0"]),
            BadInput("count", ["--count", "0"], status: 2, named: ["--count 0"]),
            BadInput("size", ["--size", "64"], status: 2, named: ["--size", "64"]),
            BadInput("three sides", ["--size", "16x16x16"], status: 2, named: ["--size"]),
            BadInput("unknown option", ["--foo"], status: 2, named: ["--foo"]),
            BadInput("window", ["--true-cfg", "4"], status: 2, named: ["--true-cfg"]),
            BadInput("seed below 0", ["--seed=-1"], status: 2, named: ["--seed"]),
            BadInput(
                "seed over 64 bits",
                ["--seed", "18446744073709551616"],
                status: 2,
                named: ["--seed"]
            ),
            BadInput("preview", ["--preview-every", "0"], status: 2, named: ["--preview-every"]),
            BadInput("posterior", ["--posterior", "mean"], status: 2, named: ["--posterior"]),
            BadInput("precision", ["--precision", "int2"], status: 2, named: ["--precision"]),
        ]
    )
    func usage(input: BadInput) throws {
        try input.check()
    }

    @Test(
        "a value that makes no sense ends with 1 and is named",
        arguments: [
            BadInput("no steps", ["--steps", "0"], named: ["steps 0"]),
            BadInput("steps below 0", ["--steps=-3"], named: ["steps -3"]),
            BadInput("no side", ["--size", "0x0"], named: ["width 0"]),
            BadInput("side below 0", ["--size=-16x64"], named: ["width -16"]),
            BadInput("no multiple of 16", ["--size", "64x17"], named: ["height 17"]),
            BadInput("a size without end", ["--size", "1600000x1600000"], named: ["size"]),
            BadInput(
                "a size that overflows",
                ["--size", "9223372036854775792x9223372036854775792"],
                named: ["size"]
            ),
            BadInput("guidance", ["--guidance", "nan"], named: ["guidance nan"]),
            BadInput("window", ["--true-cfg", "4:-1:1"], named: ["true-cfg -1:1"]),
            BadInput("scale", ["--true-cfg", "inf:0:1"], named: ["true-cfg inf"]),
            BadInput("side of references", ["--ref-res", "0"], named: ["ref-res 0"]),
            BadInput("no tokens", ["--max-text-tokens", "0"], named: ["max-text-tokens 0"]),
            BadInput("too many", ["--max-text-tokens", "513"], named: ["max-text-tokens 513"]),
            BadInput("adapters", ["--adapters", "v3"], named: ["--adapters v3", "v1.1"]),
            BadInput(
                "adapters that are missing",
                ["--adapters", "v1"],
                named: ["dreamo_quality_lora_pos", "--adapters v1"]
            ) { try $0.remove("model/dreamo/dreamo_quality_lora_pos.safetensors") },
            BadInput("placeholder", ["--prompt", "a [ref#2]"], named: ["[ref#2]"]),
            BadInput("placeholder 0", ["--prompt", "a [ref#0]"], named: ["[ref#0]", "1…9"]),
        ]
    )
    func values(input: BadInput) throws {
        try input.check()
    }

    @Test(
        "a broken reference is named",
        arguments: [
            BadInput("no task", ["--reference", "a.png"], named: ["--reference a.png"]),
            BadInput("slot 0", ["--reference", "face.png:ip:0"], named: ["face.png", "slot 0"]),
            BadInput(
                "slot 10",
                ["--reference", "face.png:ip:10"],
                named: ["face.png", "slot 10"]
            ),
            BadInput("missing", ["--reference", "no.png:ip"], named: ["no.png"]),
            BadInput("folder", ["--reference", "model:ip"], named: ["model", "directory"]),
            BadInput("empty", ["--reference", "e.png:ip"], named: ["e.png"]) {
                try $0.write([], to: "e.png")
            },
            BadInput("text", ["--reference", "t.png:ip"], named: ["t.png"]) {
                try $0.write("text".utf8, to: "t.png")
            },
            BadInput("cut", ["--reference", "c:d.png:ip"], named: ["c:d.png", "truncated"]) {
                let face = try $0.bytes(of: "face.png")
                try $0.write(face[..<(face.count / 2)], to: "c:d.png")
            },
            BadInput("bomb", ["--reference", "b.png:ip"], named: ["b.png", "100000x100000"]) {
                var face = try $0.bytes(of: "face.png")
                let side: [UInt8] = [0, 1, 0x86, 0xA0]
                face.replaceSubrange(16..<24, with: side + side)
                let crc = crc32(face[12..<29])
                face.replaceSubrange(29..<33, with: crc)
                try $0.write(face, to: "b.png")
            },
            BadInput(
                "no multiple of 16",
                ["--reference", "dot.png:ip", "--prepare", "none"],
                named: ["dot.png is 1×1", "--prepare resize"]
            ) { try $0.write(try #require(Data(base64Encoded: dot)), to: "dot.png") },
        ]
    )
    func references(input: BadInput) throws {
        let withFace = BadInput(
            input.name,
            input.arguments,
            status: input.status,
            named: input.named
        ) { folder in
            try FileManager.default.copyItem(
                atPath: "\(ModelFolder.goldens)/images/face.png",
                toPath: "\(folder.path)/face.png"
            )
            try input.prepare(folder)
        }
        try withFace.check()
    }

    @Test(
        "an output that cannot be written is named, and nothing is left",
        arguments: [
            BadInput("no folder", ["--output", "none/o.png"], named: ["none/o.png"]),
            BadInput("a folder", ["--output", "model"], named: ["model", "folder"]),
            BadInput("empty", ["--output", ""], named: ["--output"]),
            BadInput("a folder to be", ["--output", "new/"], named: ["new/", "folder"]),
            BadInput("full disk", ["--output", "/dev/full"], named: ["/dev/full", "full"]),
            BadInput("dump's folder", ["--dump", "none/d"], named: ["none/d"]),
            BadInput("dump a folder", ["--dump", "model"], named: ["model", "folder"]),
            BadInput("dump a device", ["--dump", "/dev/null"], named: ["/dev/null"]),
            BadInput("dump over output", ["--dump", "out.png"], named: ["--dump", "--output"]),
            BadInput(
                "dump of several",
                ["--dump", "d", "--count", "2"],
                named: ["--dump", "2"]
            ),
        ]
    )
    func outputs(input: BadInput) throws {
        try input.check()
    }

    @Test(
        "a task file's fault is named by file and key",
        arguments: [
            ("{", "t.json"), ("[]", "t.json"), ("", "t.json"), ("{}", "prompt"),
            (#"{"prompt": 3}"#, "prompt"), (#"{"prompt": "a", "seed": -1}"#, "seed"),
            (#"{"prompt": "a", "seed": 18446744073709551616}"#, "seed"),
            (#"{"prompt": "a", "width": 64.5}"#, "width"),
            (#"{"prompt": "a", "version": "v9"}"#, "version 'v9'"),
            (#"{"prompt": "a", "version": 1.1}"#, "version"),
            (#"{"prompt": "a", "conditions": {}}"#, "conditions"),
            (#"{"prompt": "a", "conditions": [{}]}"#, "conditions.0.image"),
            (#"{"prompt": "a", "posterior": "mean"}"#, "posterior"),
        ]
    )
    func tasks(text: String, key: String) throws {
        try BadInput(text, ["--task", "t.json"], named: ["t.json", key]) {
            try $0.write(text.utf8, to: "t.json")
        }.check()
    }

    @Test(
        "a LoRA's fault is named",
        arguments: [
            BadInput("missing", ["--lora", "no.safetensors"], named: ["no.safetensors"]),
            BadInput("folder", ["--lora", "model"], named: ["model"]),
            BadInput("weight", ["--lora", "a.safetensors:nan"], named: ["--lora a.safetensors"]),
            BadInput("text", ["--lora", "a.safetensors"], named: ["a.safetensors"]) {
                try $0.write("text".utf8, to: "a.safetensors")
            },
            BadInput("junk", ["--lora", "a.safetensors"], named: ["a.safetensors", "junk"]) {
                let header = #"{"junk":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}      "#
                let length: [UInt8] = [UInt8(header.utf8.count), 0, 0, 0, 0, 0, 0, 0]
                try $0.write(length + header.utf8 + [0, 0, 0, 0], to: "a.safetensors")
            },
        ]
    )
    func loras(input: BadInput) throws {
        try input.check()
    }

    @Test("Ctrl-C stops at a step, ends with 4 and leaves nothing")
    func interruption() throws {
        let folder = try ModelFolder()
        let run = try CommandRun.run(
            [
                "render", "--model", "model", "--prompt", "a cat", "--size", "64x64", "--steps",
                "1000", "--seed", "1", "--output", "out.png",
            ],
            in: folder
        ) { process, line in
            if line.hasPrefix("step 1/") { process.interrupt() }
        }
        #expect(run.status == 4)
        #expect(run.errors.count == 1)
        #expect(run.errors.first?.hasPrefix("error: interrupted") == true)
        #expect(!run.lines.contains { $0.hasPrefix("step 1000/") })
        #expect(try folder.files == [])
    }

    @Test(
        "a prompt is taken as it comes",
        arguments: [
            ("", false), ("a\u{1}\u{1b}[31m\n\r\tb", false),
            (String(repeating: "word ", count: 20_000), true),
        ]
    )
    func prompts(prompt: String, isTruncated: Bool) throws {
        let folder = try ModelFolder()
        let run = try CommandRun.run(
            [
                "render", "--model", "model", "--prompt", prompt, "--size", "32x32", "--steps",
                "1", "--seed", "1", "--output", "ü 1.png",
            ],
            in: folder
        )
        #expect(run.status == 0, "\(run.lines)")
        #expect(run.lines.contains { $0.hasPrefix("warning: the prompt is longer") } == isTruncated)
        #expect(try folder.files == ["ü 1.png"])
    }
}

/// The checksum of a PNG chunk, most significant byte first.
private func crc32(_ bytes: some Sequence<UInt8>) -> [UInt8] {
    var crc = UInt32.max
    for byte in bytes {
        crc ^= UInt32(byte)
        for _ in 0..<8 { crc = crc >> 1 ^ (crc & 1 == 1 ? 0xEDB8_8320 : 0) }
    }
    return (0..<4).reversed().map { UInt8(truncatingIfNeeded: ~crc >> (8 * $0)) }
}
