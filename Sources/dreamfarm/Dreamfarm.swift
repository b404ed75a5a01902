import ArgumentParser

@main
struct Dreamfarm: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dreamfarm",
        subcommands: [RenderCommand.self, ModelCommand.self]
    )
}
