// swift-tools-version: 6.2
import PackageDescription

// One settings list for every Swift target: warnings are errors, imports are explicit.
let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, resources: resources, swiftSettings: strict)
}

let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")

let package = Package(
    name: "drover",
    products: [.executable(name: "drover", targets: ["drover"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.14.0"),
        .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.0"),
        .package(url: "https://github.com/jpsim/Yams.git", from: "6.2.0"),
        .package(url: "https://github.com/groue/GRDB.swift.git", from: "7.10.0"),
    ],
    targets: [
        // MARK: L0 — C, and the field's words
        .systemLibrary(name: "CZeroMQ", pkgConfig: "libzmq", providers: [.apt(["libzmq3-dev"])]),
        .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
        .systemLibrary(name: "COneDNN", providers: [.apt(["libdnnl-dev"])]),
        .target(
            name: "CKernels",
            // Optimised in debug builds too: tests run real models. No contraction that the compiler may choose.
            cSettings: [.unsafeFlags(["-O3", "-ffp-contract=off", "-fno-fast-math"])],
            linkerSettings: [.linkedLibrary("pthread"), .linkedLibrary("m")]),
        .target(name: "CSystem"),
        .target(name: "CHashing", cSettings: [.unsafeFlags(["-O3"])]),
        module("Terms"),
        module("Mappings", ["CSystem"]),
        module("Hashing", ["Terms", "CHashing", crypto]),

        // MARK: L1 — pure parts of one subject each
        module("Recipes", ["Terms"]),
        module("Collectives", ["Terms"]),
        module("Wire", ["Terms", "Collectives"]),
        module("Budgeting", ["Terms"]),
        module("Checkpoints", ["Terms"]),
        module("Templates", ["Terms"]),
        module("Tokenization", ["Terms"]),
        module("Kernels", ["Terms", "CKernels", "COpenBLAS", "COneDNN"]),

        // MARK: L2
        module("JobSpecs", ["Terms", "Budgeting", yams]),
        module("Datasets", ["Terms", "Mappings", "Hashing", "Recipes", "Tokenization", "Templates"]),
        module("Models", ["Terms", "Kernels"]),

        // MARK: L3
        module("Coordination", ["Terms", "Hashing", "Recipes", "Collectives", "Wire", "Budgeting"]),
        module("Training", ["Terms", "Kernels", "Models"]),
        module("ModelFiles", ["Terms", "Mappings", "Hashing", "Kernels", "Models"]),

        // MARK: L4 — each shell wraps one part of the outside world
        module("ZeroMQShell", ["CZeroMQ"]),
        module("StorageShell", ["Terms", "Hashing", "Checkpoints", "CSystem", grdb]),
        .target(
            name: "Simulation",
            dependencies: [
                "Terms", "Hashing", "Recipes", "Collectives", "Wire", "Budgeting", "Checkpoints", "Coordination",
            ],
            // A simulated cluster is one object in one thread; debug builds, and so the tests, look for overlapping access.
            swiftSettings: strict + [.unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))]),

        // MARK: L5 — where control plane and data plane meet
        module(
            "CoordinatorShell",
            [
                "Terms", "Hashing", "Recipes", "Wire", "Budgeting", "Checkpoints", "Datasets", "Kernels",
                "Coordination",
                "ZeroMQShell", "StorageShell", "Mappings", logging,
            ]),
        module(
            "WorkerShell",
            [
                "Terms", "Hashing", "Recipes", "Collectives", "Budgeting", "Wire", "Checkpoints", "Datasets", "Kernels",
                "Models", "Coordination", "Training", "ModelFiles", "ZeroMQShell", "StorageShell", "CSystem", logging,
            ]),

        // MARK: L6 — the command line, one file a command
        .executableTarget(
            name: "drover",
            dependencies: [
                "Terms", "Hashing", "Recipes", "Collectives", "Budgeting", "Checkpoints", "Templates", "Tokenization",
                "Kernels",
                "JobSpecs", "Datasets", "Models", "Coordination", "Training", "ModelFiles", "StorageShell",
                "CoordinatorShell", "WorkerShell", "Simulation", "Wire", "ZeroMQShell", "CSystem", arguments, logging,
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "fuzz",
            dependencies: [
                "Terms", "ModelFiles", "Wire", "Recipes", "Collectives", "Kernels", "Coordination", "ZeroMQShell",
                "WorkerShell",
            ],
            swiftSettings: strict),

        // MARK: Tests — pure ones mirror modules; parity and end to end stand apart
        tests("TermsTests", ["Terms"]),
        tests("MappingsTests", ["Mappings"]),
        tests("HashingTests", ["Hashing", "Terms"]),
        tests("RecipesTests", ["Recipes", "Terms"]),
        tests("CollectivesTests", ["Collectives", "Terms"]),
        tests("WireTests", ["Wire", "Collectives", "Terms"]),
        tests("CoordinationTests", ["Coordination", "Wire", "Collectives", "Recipes", "Budgeting", "Terms"]),
        tests("SimulationTests", ["Simulation", "Coordination", "Collectives", "Recipes", "Wire", "Terms"]),
        tests("BudgetingTests", ["Budgeting", "Terms"]),
        tests("CheckpointsTests", ["Checkpoints", "Hashing", "Terms"]),
        tests("TemplatesTests", ["Templates", "Terms"], resources: [.copy("Fixtures")]),
        tests("TokenizationTests", ["Tokenization", "Terms"], resources: [.copy("Fixtures")]),
        tests("KernelsTests", ["Kernels", "CKernels", "COneDNN"]),
        tests("JobSpecsTests", ["JobSpecs", "Budgeting"]),
        tests(
            "DatasetsTests", ["Datasets", "Hashing", "Templates", "Terms", "Tokenization"],
            resources: [.copy("Fixtures")]),
        tests("ModelsTests", ["Models", "Kernels", "Terms"]),
        tests("TrainingTests", ["Training", "Models", "Kernels", "Terms"]),
        tests("ModelFilesTests", ["ModelFiles", "Models", "Kernels", "Hashing", "Terms"]),
        tests(
            "StorageShellTests",
            [
                "StorageShell", "Budgeting", "Checkpoints", "Coordination", "Hashing", "Terms",
                .product(name: "GRDBSQLite", package: "GRDB.swift"),
            ]),
        tests("ParityTests", ["Training", "ModelFiles", "Models", "Kernels", "Terms"], resources: [.copy("Fixtures")]),
        tests("ZeroMQShellTests", ["ZeroMQShell"]),
        tests(
            "CoordinatorShellTests",
            [
                "CoordinatorShell", "Budgeting", "Checkpoints", "Coordination", "Datasets", "Hashing", "Recipes",
                "Simulation", "StorageShell", "Wire", "ZeroMQShell", "Terms", logging,
            ]),
        tests(
            "WorkerShellTests",
            [
                "WorkerShell", "Checkpoints", "Coordination", "Hashing", "ModelFiles", "Recipes", "Wire", "ZeroMQShell",
                "Terms", "CSystem", logging,
            ]),
        tests("TidyTests", []),
        tests(
            "CommandTests",
            [
                "drover", "Budgeting", "Coordination", "Datasets", "Hashing", "JobSpecs", "ModelFiles", "Recipes",
                "StorageShell", "Terms", "Tokenization", "WorkerShell", arguments,
            ]),
        tests("EndToEndTests", ["drover", "Terms"]),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .c11
)
