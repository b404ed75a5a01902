// swift-tools-version: 6.3
import PackageDescription

let package = Package(
    name: "dreamfarm",
    targets: [
        .target(name: "Diffusion", dependencies: ["CSentencePiece"]),
        .target(name: "CSentencePiece", linkerSettings: [.linkedLibrary("sentencepiece")]),
        .testTarget(
            name: "DiffusionTests",
            dependencies: ["Diffusion"],
            resources: [.copy("Fixtures")]
        ),
    ],
    cxxLanguageStandard: .cxx17
)

for target in package.targets
where [.executable, .regular, .test].contains(target.type) && target.name != "CSentencePiece" {
    target.swiftSettings = [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
        .treatAllWarnings(as: .error),
    ]
}
