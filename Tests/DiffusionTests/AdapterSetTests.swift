import Networks
import Tensors
import Testing

@testable import Diffusion

@Suite struct AdapterSetTests {
    private static let main = ["dreamo.safetensors": "dreamo"]
    private static let v1 = [
        "dreamo_quality_lora_pos.safetensors": "dreamo_infix",
        "dreamo_quality_lora_neg.safetensors": "xlabs",
    ]
    private static let v11 = [
        "v1.1/dreamo_sft_lora.safetensors": "peft",
        "v1.1/dreamo_dpo_lora.safetensors": "peft_alpha",
    ]
    private static let everything = [
        "dreamo_cfg_distill.safetensors": "dreamo_split", "flux_turbo.safetensors": "peft",
    ].merging(main) { $1 }.merging(v1) { $1 }.merging(v11) { $1 }

    private func folder(_ files: [String: String]) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        for (name, fixture) in files {
            _ = try folder.copy(fixture, to: name)
        }
        return folder
    }

    private func set(_ folder: TemporaryFolder, _ selection: AdapterSelection) throws -> AdapterSet
    {
        try AdapterSet(
            folder: folder.path,
            selection: selection,
            configuration: adapterConfiguration
        )
    }

    @Test("v1.1 with turbo merges to the oracle's weights")
    func versionOneOne() throws {
        let folder = try folder(Self.everything)
        let set = try set(folder, AdapterSelection())
        #expect(set.version == .v11 && set.hasTurbo)
        #expect(
            set.names == [
                "dreamo.safetensors", "dreamo_cfg_distill.safetensors", "flux_turbo.safetensors",
                "v1.1/dreamo_sft_lora.safetensors", "v1.1/dreamo_dpo_lora.safetensors",
            ]
        )
        #expect(set.adapters.map(\.strength) == [1, 1, 1, 1, 1.25])
        let source = set.adapting(FormulaSource(), threads: 2)
        try expectMerged(source, equals: "set_v11_merged", tolerance: 1e-5)
    }

    @Test("v1 without turbo and without the distilled guidance merges to the oracle's weights")
    func versionOne() throws {
        var files = Self.everything
        files["dreamo_cfg_distill.safetensors"] = nil
        let folder = try folder(files)
        let set = try set(
            folder,
            AdapterSelection(dreamO: .required(.v1), usesTurbo: false)
        )
        #expect(set.version == .v1 && !set.hasTurbo)
        #expect(set.adapters.map(\.strength) == [1, 0.15, -0.8])
        let source = set.adapting(FormulaSource(), threads: 1)
        try expectMerged(source, equals: "set_v1_merged", tolerance: 1e-5)
    }

    @Test(
        "the version is v1.1 when a file of it is there, else v1, and none without the main file",
        arguments: [
            (main.merging(v11) { $1 }, AdapterVersion?.some(.v11), 3),
            (main.merging(v1) { $1 }, .v1, 3),
            (main, .v1, 1),
            (v11, nil, 0),
            ([:], nil, 0),
        ]
    )
    func available(files: [String: String], version: AdapterVersion?, count: Int) throws {
        let folder = try folder(files)
        let set = try set(folder, AdapterSelection())
        #expect(set.version == version)
        #expect(set.adapters.count == count)
        #expect((set.embeddings != nil) == (version != nil))
    }

    @Test("a preferred version takes what is there; a required one names what is not")
    func missing() throws {
        let folder = try folder(Self.main)
        let preferred = try set(folder, AdapterSelection(dreamO: .preferred(.v11)))
        #expect(preferred.version == .v11 && preferred.names == ["dreamo.safetensors"])
        let error = #expect(throws: AdapterError.self) {
            _ = try self.set(folder, AdapterSelection(dreamO: .required(.v11)))
        }
        #expect(
            try #require(error).description
                == "\(folder.path)/v1.1/dreamo_sft_lora.safetensors: not found, but "
                + "--adapters v1.1 needs it; add the file or leave the option out to use what is "
                + "there"
        )
    }

    @Test("a model without the folder is plain FLUX, and an error when a version is required")
    func noFolder() throws {
        let plain = try AdapterSet(
            folder: nil,
            selection: AdapterSelection(dreamO: .preferred(.v1)),
            configuration: adapterConfiguration
        )
        #expect(plain.version == nil && plain.adapters.isEmpty && plain.embeddings == nil)
        let error = #expect(throws: AdapterError.self) {
            _ = try AdapterSet(
                folder: nil,
                selection: AdapterSelection(dreamO: .required(.v1)),
                configuration: adapterConfiguration
            )
        }
        #expect(try #require(error).description.hasPrefix("dreamo/dreamo.safetensors: not found"))
    }

    @Test("none is plain FLUX, with the user's adapters after nothing else")
    func plain() throws {
        let folder = try folder(Self.everything)
        let lora = AdapterSelection.Lora(path: adapterFixture("bfl"), strength: 0.5)
        let set = try set(folder, AdapterSelection(dreamO: .none, loras: [lora]))
        #expect(set.version == nil && set.embeddings == nil && !set.hasTurbo)
        #expect(set.names == [lora.path] && set.adapters.map(\.strength) == [0.5])
    }

    @Test("a user's adapter that is not there is an error that names it")
    func missingLora() throws {
        let folder = try folder([:])
        let lora = AdapterSelection.Lora(path: "\(folder.path)/grain.safetensors")
        let error = #expect(throws: AdapterError.self) {
            _ = try self.set(folder, AdapterSelection(loras: [lora]))
        }
        #expect(try #require(error).description.hasPrefix("\(lora.path): not found"))
    }

    @Test("the embeddings are the published tables, the placeholders the last ten rows")
    func embeddings() throws {
        let folder = try folder(Self.main)
        let embeddings = try #require(try set(folder, AdapterSelection()).embeddings)
        #expect(embeddings.task == (0..<16).map { Float($0) / 16 })
        #expect(embeddings.index == (0..<80).map { Float($0) / 32 })
        #expect(embeddings.placeholders == (24..<144).map { Float($0) / 8 })
    }

    @Test(
        "an embedding that is missing or misshapen is refused",
        arguments: [
            (["dreamo_task_embedding.weight": [2, 8]], "no tensor dreamo_idx_embedding.weight"),
            (
                ["dreamo_task_embedding.weight": [2, 9]],
                "dreamo_task_embedding.weight has shape [2, 9], the model needs [2, 8]"
            ),
            (
                [
                    "dreamo_task_embedding.weight": [2, 8], "dreamo_idx_embedding.weight": [10, 8],
                    "dreamo_t5_embedding.weight": [9, 12],
                ],
                "dreamo_t5_embedding.weight has shape [9, 12], the model needs [10 or more, 12]"
            ),
        ]
    )
    func brokenEmbeddings(shapes: [String: [Int]], expected: String) throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(ones: shapes, to: "dreamo.safetensors")
        let error = #expect(throws: AdapterError.self) {
            _ = try self.set(folder, AdapterSelection())
        }
        #expect(try #require(error).description.hasPrefix("\(path): \(expected)"))
    }

    @Test("the listing gives names, strengths, pairs, ranks and digests")
    func listing() throws {
        let folder = try folder(Self.main.merging(Self.v11) { $1 })
        let rows = try set(folder, AdapterSelection()).listing()
        #expect(
            rows.map(\.name) == [
                "dreamo.safetensors", "v1.1/dreamo_sft_lora.safetensors",
                "v1.1/dreamo_dpo_lora.safetensors",
            ]
        )
        #expect(rows.map(\.pairCount) == [12, 50, 12])
        #expect(rows.allSatisfy { $0.ranks == [2] && $0.digest.count == 64 })
        #expect(Set(rows.map(\.digest)).count == 3)
    }

    @Test("DreamO's files that the missing main file leaves unused are named")
    func unusedFiles() throws {
        let folder = try folder(Self.v1)
        let set = try set(folder, AdapterSelection())
        #expect(set.version == nil && set.adapters.isEmpty && set.summary == "plain FLUX")
        #expect(
            set.warnings == [
                "\(folder.path): dreamo_quality_lora_pos.safetensors,"
                    + " dreamo_quality_lora_neg.safetensors not used, since dreamo.safetensors is"
                    + " missing: add it, or choose plain FLUX by --adapters none"
            ]
        )
        #expect(try self.set(folder, AdapterSelection(dreamO: .none)).warnings == [])
        let whole = try self.folder(Self.everything)
        let used = try self.set(whole, AdapterSelection())
        #expect(used.warnings == [] && used.summary == "DreamO v1.1 with turbo")
    }

    @Test("a file's digest is the SHA-256 of its bytes")
    func digest() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(Array("abc".utf8), to: "abc")
        #expect(
            try fileDigest(path)
                == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        )
        #expect(throws: AdapterError.self) { try fileDigest("\(folder.path)/none") }
    }

    @Test(
        "a user's adapter is FILE or FILE:WEIGHT",
        arguments: [
            ("grain.safetensors", "grain.safetensors", Float(1)),
            ("grain.safetensors:0.8", "grain.safetensors", 0.8),
            ("a:b.safetensors:-1", "a:b.safetensors", -1),
            ("a:b.safetensors", "a:b.safetensors", 1),
            ("grain:1:2", "grain:1", 2),
        ]
    )
    func argument(text: String, path: String, strength: Float) throws {
        let lora = try AdapterSelection.Lora(parsing: text)
        #expect(lora == AdapterSelection.Lora(path: path, strength: strength))
    }

    @Test("what is neither is refused", arguments: ["", ":0.5", "grain:nan", "grain:inf"])
    func badArgument(text: String) {
        #expect(throws: AdapterError.badArgument(text)) {
            _ = try AdapterSelection.Lora(parsing: text)
        }
    }

    @Test("versions are named as published")
    func versions() throws {
        #expect(try AdapterSelection.choice(named: "v1.1") == .required(.v11))
        #expect(try AdapterSelection.choice(named: "v1") == .required(.v1))
        #expect(try AdapterSelection.choice(named: "none") == AdapterSelection.Choice.none)
        #expect(throws: AdapterError.unknownVersion("v2")) {
            _ = try AdapterSelection.choice(named: "v2")
        }
        #expect(
            AdapterVersion.v11.defaultGuidance == 4.5 && AdapterVersion.v1.defaultGuidance == 3.5
        )
    }
}
