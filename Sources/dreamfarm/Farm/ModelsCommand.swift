import ArgumentParser
import Diffusion
import FarmClient
import FarmModel
import FoundationEssentials
import Tensors

/// Usage: `dreamfarm models add DIRECTORY [--name NAME]`, `ls`, `default NAME`, `rm NAME`.
struct ModelsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "models",
        abstract: "The models that the farm knows.",
        subcommands: [Add.self, List.self, Default.self, Remove.self],
        defaultSubcommand: List.self
    )

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Upload a model's files, so that workers can fetch it by name."
        )

        @Argument(help: "The model's directory.")
        var directory: String

        @Option(help: "The name to register it under; the directory's name when left out.")
        var name: String?

        @Option(help: "DreamO's adapters: v1, v1.1 or none; those that are there when left out.")
        var adapters: String?

        @Flag(inversion: .prefixedNo, help: "Whether the turbo adapter belongs to it.")
        var turbo = true

        @OptionGroup var farm: FarmOptions

        func run() async throws {
            try await CommandExit.run {
                let client = try farm.client()
                let upload = try await ModelUpload(
                    directory: directory,
                    adapters: adapters,
                    usesTurbo: turbo
                )
                let sent = try await upload.send(to: client) { StandardError.write("\($0)\n") }
                let model = try await client.addModel(name ?? upload.name, upload.request)
                try farm.show(
                    model,
                    "\(model.name) \(model.digest): \(upload.request.files.count) files, "
                        + "\(sent) uploaded"
                )
                return .done
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "ls",
            abstract: "List the models."
        )

        @OptionGroup var farm: FarmOptions

        func run() async throws {
            try await CommandExit.run {
                let models = try await farm.client().models().all()
                var table = TextTable("MODEL", "DIGEST", "WORKERS", "FILES", "")
                for model in models {
                    table.add(
                        model.name,
                        String(model.digest.prefix(16)),
                        "\(model.workers ?? 0)",
                        "\(model.files?.count ?? 0)",
                        model.isDefault ? "default" : ""
                    )
                }
                try farm.show(models, table, none: "no models: a worker brings one, or models add")
                return .done
            }
        }
    }

    struct Default: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Set the model of jobs that name none."
        )

        @Argument(help: "The model's name.", completion: .farm(.models))
        var name: String

        @OptionGroup var farm: FarmOptions

        func run() async throws {
            try await CommandExit.run {
                let model = try await farm.client().makeDefault(name)
                try farm.show(model, "\(model.name) is the default")
                return .done
            }
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "rm",
            abstract: "Forget a model that no live job or worker uses."
        )

        @Argument(help: "The model's name.", completion: .farm(.models))
        var name: String

        @OptionGroup var farm: FarmOptions

        func run() async throws {
            try await CommandExit.run {
                try await farm.client().removeModel(name)
                return .done
            }
        }
    }
}
