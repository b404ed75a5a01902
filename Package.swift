// swift-tools-version: 6.3
import PackageDescription

let package = Package(
    name: "dreamfarm",
    dependencies: [
        .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.2")
    ],
    targets: [
        .target(name: "Diffusion", dependencies: ["Networks", "Tensors", .crypto]),
        .target(name: "Networks", dependencies: ["Tensors"]),
        .target(name: "Tensors", dependencies: ["CKernels", "COpenBLAS", .crypto]),
        .target(name: "CKernels", cSettings: [.unsafeFlags(["-O3"])]),
        .systemLibrary(
            name: "COpenBLAS",
            pkgConfig: "openblas",
            providers: [.apt(["libopenblas-dev"])]
        ),
        .testTarget(
            name: "DiffusionTests",
            dependencies: ["Diffusion", "Networks", "Tensors"]
        ),
    ]
)

extension Target.Dependency {
    static let crypto = product(name: "Crypto", package: "swift-crypto")
}

for target in package.targets where [.executable, .regular, .test].contains(target.type) {
    target.swiftSettings = [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
        .treatAllWarnings(as: .error),
    ]
}
