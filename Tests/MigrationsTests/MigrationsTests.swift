import Foundation
import Migrations
import Testing

@Suite struct MigrationsTests {
    private static let folder = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "migrations/sql")

    @Test("the list is the files on disk, in order and word for word")
    func listEqualsFiles() throws {
        let files = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
        #expect(Migrations.all.map { "\($0.name).sql" } == files.sorted())
        for migration in Migrations.all {
            let file = Self.folder.appending(path: "\(migration.name).sql")
            #expect(try migration.sql == String(contentsOf: file, encoding: .utf8))
        }
    }

    @Test("each step states the oldest release that works with it")
    func oldestBinaries() throws {
        for migration in Migrations.all {
            let parts = migration.oldestBinary.split(separator: ".").map { Int($0) }
            #expect(parts.count == 3 && !parts.contains(nil), "\(migration.name)")
        }
    }

    @Test("numbers run from 1 without gaps and begin the names")
    func numbers() {
        #expect(Migrations.all.map(\.number) == Array(1...Migrations.all.count))
        for migration in Migrations.all {
            let digits = String(migration.number)
            let padded = String(repeating: "0", count: 4 - digits.count) + digits
            #expect(migration.name.hasPrefix("\(padded)_"))
        }
    }
}
