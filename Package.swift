// swift-tools-version: 6.3
import PackageDescription

let package = Package(
    name: "dreamfarm",
    dependencies: [
        .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.2"),
        .package(url: "https://github.com/jpsim/Yams.git", from: "6.2.2"),
    ],
    targets: [
        .target(name: "FarmStore", dependencies: ["FarmModel", "Migrations", "Postgres"]),
        .target(name: "FarmModel", dependencies: [.crypto, .yams]),
        .target(name: "Migrations", path: "migrations", resources: [.embedInCode("sql")]),
        .target(name: "Postgres", dependencies: ["CLibPQ", "CLinux"]),
        .systemLibrary(name: "CLinux"),
        .systemLibrary(name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .target(name: "TestSupport", dependencies: ["Postgres"], path: "Tests/TestSupport"),
        .testTarget(name: "PostgresTests", dependencies: ["Postgres", "TestSupport"]),
        .testTarget(name: "MigrationsTests", dependencies: ["Migrations"]),
        .testTarget(
            name: "FarmStoreTests",
            dependencies: ["FarmModel", "FarmStore", "Migrations", "Postgres", "TestSupport"]
        ),
    ]
)

extension Target.Dependency {
    static let crypto = product(name: "Crypto", package: "swift-crypto")
    static let yams = product(name: "Yams", package: "Yams")
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
