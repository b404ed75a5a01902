// swift-tools-version: 6.3
import PackageDescription

let package = Package(
    name: "dreamfarm",
    targets: [
        .target(name: "Networks", dependencies: ["Tensors"]),
        .target(name: "Tensors", dependencies: ["CKernels", "COpenBLAS"]),
        .target(name: "CKernels", cSettings: [.unsafeFlags(["-O3"])]),
        .systemLibrary(
            name: "COpenBLAS",
            pkgConfig: "openblas",
            providers: [.apt(["libopenblas-dev"])]
        ),
        .testTarget(name: "TensorsTests", dependencies: ["CKernels", "Tensors"]),
        .testTarget(
            name: "NetworksTests",
            dependencies: ["Networks", "Tensors"],
            exclude: ["Goldens"]
        ),
    ]
)

for target in package.targets where [.executable, .regular, .test].contains(target.type) {
    target.swiftSettings = [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
        .treatAllWarnings(as: .error),
    ]
}
