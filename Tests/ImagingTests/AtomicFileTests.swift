import FoundationEssentials
import Imaging
import Testing

@Suite struct AtomicFileTests {
    @Test("a file is written and replaced whole", arguments: [0, 1, 100_000])
    func writes(_ count: Int) throws {
        try withTemporaryFolder { folder in
            let path = folder + "/out.png"
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            try AtomicFile.write(path, [1, 2, 3])
            try AtomicFile.write(path, bytes)
            #expect(try contents(of: path) == bytes)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["out.png"])
        }
    }

    @Test("a symbolic link stays and its target is replaced")
    func followsLinks() throws {
        try withTemporaryFolder { folder in
            try AtomicFile.write(folder + "/real", [1])
            try FileManager.default.createSymbolicLink(
                atPath: folder + "/link",
                withDestinationPath: "real"
            )
            try AtomicFile.write(folder + "/link", [2, 3])
            #expect(try contents(of: folder + "/real") == [2, 3])
            let target = try FileManager.default.destinationOfSymbolicLink(atPath: folder + "/link")
            #expect(target == "real")
        }
    }

    @Test("a full disk is named")
    func fullDisk() throws {
        let error = try #require(throws: AtomicFileError.self) {
            try AtomicFile.write("/dev/full", [1, 2, 3])
        }
        #expect(error == .diskFull(path: "/dev/full"))
        #expect(error.description.contains("/dev/full"))
    }

    @Test("a path that cannot be written is named with its remedy and leaves nothing")
    func refuses() throws {
        try withTemporaryFolder { folder in
            #expect(throws: AtomicFileError.folder(path: folder)) {
                try AtomicFile.write(folder, [1])
            }
            #expect(throws: AtomicFileError.missingFolder(path: folder + "/no/out.png")) {
                try AtomicFile.write(folder + "/no/out.png", [1])
            }
            try AtomicFile.write(folder + "/file", [7])
            #expect(throws: AtomicFileError.missingFolder(path: folder + "/file/out.png")) {
                try AtomicFile.write(folder + "/file/out.png", [1])
            }
            let long = folder + "/" + String(repeating: "n", count: 300)
            let error = try #require(throws: AtomicFileError.self) {
                try AtomicFile.write(long, [1])
            }
            #expect(error == .failed(path: long, reason: "File name too long"))
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["file"])
            // Nobody, root included, may make files in sysfs.
            let unwritable = try #require(throws: AtomicFileError.self) {
                try AtomicFile.write("/sys/out.png", [1])
            }
            #expect(unwritable.description.contains("/sys/out.png"))
            #expect(unwritable.description.contains("choose a folder"))
        }
    }
}
