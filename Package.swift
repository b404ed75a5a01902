// swift-tools-version: 6.3
import PackageDescription

let package = Package(
    name: "dreamfarm",
    products: [
        .library(name: "fault-shim", type: .dynamic, targets: ["FaultShim"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-distributed-tracing.git", from: "1.7.3"),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras.git", from: "1.35.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.6"),
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.1"),
        .package(url: "https://github.com/jpsim/Yams.git", from: "6.2.2"),
        .package(url: "https://github.com/vapor/jwt-kit.git", from: "5.7.1"),
        .package(
            url: "https://github.com/swift-server/swift-service-lifecycle.git",
            from: "2.13.0"
        ),
    ],
    targets: [
        // Floor 7: executables. Parse arguments, build, run.
        .executableTarget(
            name: "dreamfarm",
            dependencies: [
                "Collectives", "Diffusion", "FarmClient", "FarmModel", "FarmWorker",
                "HTTPTransport", "Imaging", "Networks", "Telemetry", "Tensors", .argumentParser,
                .crypto, .logging, .serviceLifecycle,
            ]
        ),
        .executableTarget(
            name: "dreamfarm-coordinator",
            dependencies: [
                "FarmCoordinator", "FarmModel", "Telemetry", .argumentParser, .logging,
            ]
        ),
        .executableTarget(
            name: "dreamfarm-worker",
            dependencies: [
                "FarmClient", "FarmModel", "FarmWorker", "HTTPTransport", "Telemetry", "Tensors",
                .argumentParser, .logging, .serviceLifecycle, .unixSignals,
            ]
        ),

        // Benchmarks.
        .executableTarget(
            name: "http-load",
            dependencies: [.argumentParser],
            path: "Benchmarks/HTTPLoad"
        ),
        .executableTarget(
            name: "link-benchmark",
            dependencies: ["Collectives", "Tensors", .argumentParser],
            path: "Benchmarks/Links"
        ),
        .executableTarget(
            name: "queue-benchmark",
            dependencies: ["FarmModel", "FarmStore", "Postgres", .argumentParser],
            path: "Benchmarks/queue",
            exclude: ["peer_pgqueuer.py", "peer_procrastinate.py", "run"]
        ),

        // Floor 6: the two services. They never import each other.
        .target(
            name: "FarmCoordinator",
            dependencies: [
                "BlobStore", "FarmModel", "FarmStore", "HTTPTransport", "Imaging", "Postgres",
                "Prometheus", "Telemetry", .crypto, .httpTypes, .hummingbird, .hummingbirdCore,
                .hummingbirdTLS, .jwtKit, .logging, .nioCore, .nioHTTPTypes, .nioPosix, .nioSSL,
                .serviceLifecycle, .tracing, .unixSignals,
            ],
            resources: [.embedInCode("Resources")]
        ),
        .target(
            name: "FarmWorker",
            dependencies: [
                "Collectives", "Diffusion", "FarmClient", "FarmModel", "HTTPTransport", "Imaging",
                "Networks", "Prometheus", "Telemetry", "Tensors", .crypto, .httpTypes,
                .hummingbird, .hummingbirdCore, .logging, .nioCore, .serviceLifecycle, .tracing,
            ]
        ),

        // Floor 4: what the services are made of.
        .target(name: "BlobStore", dependencies: ["FarmModel", "HTTPTransport", .crypto]),
        .target(
            name: "Diffusion",
            dependencies: [
                "CSentencePiece", "Collectives", "Imaging", "Networks", "Tensors", .crypto,
            ]
        ),
        .target(
            name: "FarmClient",
            dependencies: ["FarmModel", "HTTPTransport", "Telemetry"]
        ),
        .target(
            name: "FarmStore",
            dependencies: ["FarmModel", "Migrations", "Postgres", .logging]
        ),

        // Floor 3: layers and models, as functions of weights; and sums over a group.
        .target(name: "Collectives", dependencies: ["CGloo", "Tensors", .crypto]),
        .target(name: "Networks", dependencies: ["Tensors"]),

        // Floor 2: the numbers, and what programs tell of themselves.
        .target(
            name: "Telemetry",
            dependencies: ["HTTPTransport", "Prometheus", .logging, .tracing]
        ),
        .target(name: "Tensors", dependencies: ["CKernels", "COpenBLAS"]),

        // Floor 1: values and thin, safe wrappers.
        .target(name: "FarmModel", dependencies: [.crypto, .yams]),
        .target(name: "HTTPTransport", dependencies: ["CLibCurl", .logging]),
        .target(name: "Imaging", dependencies: ["CImaging"]),
        .target(name: "Migrations", path: "migrations", resources: [.embedInCode("sql")]),
        .target(name: "Postgres", dependencies: ["CLibPQ", "CLinux"]),
        .target(name: "Prometheus"),

        // Floor 0: C.
        .target(name: "CGloo", linkerSettings: [.linkedLibrary("gloo")]),
        .target(
            name: "CImaging",
            dependencies: ["CLibJPEG", "CLibPNG", "CLibWebP"],
            cSettings: [.unsafeFlags(["-O3"])],
            linkerSettings: [
                .linkedLibrary("png16"), .linkedLibrary("jpeg"), .linkedLibrary("webp"),
                .linkedLibrary("webpdemux"),
            ]
        ),
        .target(name: "CKernels", cSettings: [.unsafeFlags(["-O3"])]),
        .target(name: "CSentencePiece", linkerSettings: [.linkedLibrary("sentencepiece")]),
        .systemLibrary(
            name: "CLibCurl",
            pkgConfig: "libcurl",
            providers: [.apt(["libcurl4-openssl-dev"])]
        ),
        .systemLibrary(
            name: "CLibJPEG",
            pkgConfig: "libjpeg",
            providers: [.apt(["libjpeg62-turbo-dev"])]
        ),
        .systemLibrary(name: "CLibPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"])]),
        .systemLibrary(name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(
            name: "CLibWebP",
            pkgConfig: "libwebpdemux",
            providers: [.apt(["libwebp-dev"])]
        ),
        .systemLibrary(name: "CLinux"),
        .systemLibrary(
            name: "COpenBLAS",
            pkgConfig: "openblas",
            providers: [.apt(["libopenblas-dev"])]
        ),

        // Tests: one target a module, plus shared support.
        .target(
            name: "TestSupport",
            dependencies: ["Postgres", .httpTypes, .hummingbird, .logging, .nioCore],
            path: "Tests/TestSupport"
        ),
        .target(name: "GoldenSupport", dependencies: ["Tensors"], path: "Tests/GoldenSupport"),
        .executableTarget(
            name: "fault-harness",
            dependencies: [
                "FarmClient", "FarmModel", "FarmWorker", "HTTPTransport", "Postgres",
                .argumentParser, .logging,
                .unixSignals,
            ],
            path: "Tests/FaultHarness"
        ),
        // Stands before the C library of the processes that the harness runs.
        .target(name: "FaultShim", path: "Tests/FaultShim"),
        .executableTarget(
            name: "safetensors-mutations",
            dependencies: ["Tensors"],
            path: "Tests/SafetensorsMutations"
        ),
        .testTarget(
            name: "BlobStoreTests",
            dependencies: [
                "BlobStore", "FarmModel", "HTTPTransport", .crypto, .httpTypes, .hummingbird,
                .hummingbirdTesting, .nioCore,
            ]
        ),
        .testTarget(name: "CollectivesTests", dependencies: ["Collectives", "Tensors"]),
        .testTarget(
            name: "DiffusionTests",
            dependencies: [
                "Collectives", "Diffusion", "GoldenSupport", "Imaging", "Networks", "Tensors",
            ],
            resources: [.copy("Fixtures")]
        ),
        .testTarget(
            name: "DreamfarmTests",
            dependencies: [
                "BlobStore", "Diffusion", "FarmClient", "FarmCoordinator", "FarmModel",
                "FarmStore", "Imaging", "Networks", "Tensors", "TestSupport", "dreamfarm",
                .argumentParser, .hummingbird, .hummingbirdTesting, .logging,
            ]
        ),
        .testTarget(name: "FarmClientTests", dependencies: ["FarmClient", "FarmModel"]),
        .testTarget(
            name: "FarmCoordinatorTests",
            dependencies: [
                "BlobStore", "FarmCoordinator", "FarmModel", "FarmStore", "HTTPTransport",
                "Imaging", "Postgres", "Prometheus", "TestSupport", .crypto, .cryptoExtras,
                .httpTypes, .hummingbird, .hummingbirdTesting, .jwtKit, .logging, .nioCore,
                .nioEmbedded,
                .nioHTTPTypes, .nioPosix,
            ]
        ),
        .testTarget(name: "FarmModelTests", dependencies: ["FarmModel", "Migrations"]),
        .testTarget(
            name: "FarmStoreTests",
            dependencies: ["FarmModel", "FarmStore", "Migrations", "Postgres", "TestSupport"]
        ),
        .testTarget(
            name: "FarmWorkerTests",
            dependencies: [
                "BlobStore", "Diffusion", "FarmClient", "FarmCoordinator", "FarmModel",
                "FarmStore", "FarmWorker", "HTTPTransport", "Imaging", "Prometheus", "Telemetry",
                "TestSupport", .hummingbird, .hummingbirdTesting, .logging, .serviceLifecycle,
            ]
        ),
        .testTarget(name: "FaultHarnessTests", dependencies: ["fault-harness"]),
        .testTarget(
            name: "HTTPTransportTests",
            dependencies: [
                "HTTPTransport", .httpTypes, .hummingbird, .hummingbirdTesting, .nioCore,
            ]
        ),
        .testTarget(
            name: "ImagingTests",
            dependencies: ["Imaging"],
            resources: [.copy("Fixtures")]
        ),
        .testTarget(name: "MigrationsTests", dependencies: ["Migrations"]),
        .testTarget(
            name: "NetworksTests",
            dependencies: ["GoldenSupport", "Networks", "Tensors"],
            exclude: ["Goldens"]
        ),
        .testTarget(name: "PostgresTests", dependencies: ["Postgres", "TestSupport"]),
        .testTarget(name: "PrometheusTests", dependencies: ["Prometheus"]),
        .testTarget(
            name: "TelemetryTests",
            dependencies: ["Telemetry", "TestSupport", .logging, .tracing]
        ),
        .testTarget(name: "TensorsTests", dependencies: ["CKernels", "Tensors"]),
    ],
    cxxLanguageStandard: .cxx17
)

// What deploy/fuzz builds: it links libFuzzer, whose place in the toolchain that script knows.
if Context.environment["DREAMFARM_FUZZ"] != nil {
    package.targets += [
        .systemLibrary(name: "CLibFuzzer", path: "Tests/Fuzz/CLibFuzzer"),
        .executableTarget(
            name: "fuzz",
            dependencies: ["CLibFuzzer", "FarmModel", "Imaging", "Tensors"],
            path: "Tests/Fuzz/Driver"
        ),
    ]
}

extension Target.Dependency {
    static let argumentParser = product(name: "ArgumentParser", package: "swift-argument-parser")
    static let crypto = product(name: "Crypto", package: "swift-crypto")
    static let cryptoExtras = product(name: "CryptoExtras", package: "swift-crypto")
    static let httpTypes = product(name: "HTTPTypes", package: "swift-http-types")
    static let hummingbird = product(name: "Hummingbird", package: "hummingbird")
    static let hummingbirdCore = product(name: "HummingbirdCore", package: "hummingbird")
    static let hummingbirdTLS = product(name: "HummingbirdTLS", package: "hummingbird")
    static let hummingbirdTesting = product(name: "HummingbirdTesting", package: "hummingbird")
    static let jwtKit = product(name: "JWTKit", package: "jwt-kit")
    static let logging = product(name: "Logging", package: "swift-log")
    static let nioCore = product(name: "NIOCore", package: "swift-nio")
    static let nioEmbedded = product(name: "NIOEmbedded", package: "swift-nio")
    static let nioHTTPTypes = product(name: "NIOHTTPTypes", package: "swift-nio-extras")
    static let nioSSL = product(name: "NIOSSL", package: "swift-nio-ssl")
    static let nioPosix = product(name: "NIOPosix", package: "swift-nio")
    static let serviceLifecycle = product(
        name: "ServiceLifecycle",
        package: "swift-service-lifecycle"
    )
    static let tracing = product(name: "Tracing", package: "swift-distributed-tracing")
    static let unixSignals = product(name: "UnixSignals", package: "swift-service-lifecycle")
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
