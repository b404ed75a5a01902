import FoundationEssentials
import Testing

@testable import FarmCoordinator

@Suite struct ZipArchiveTests {
    /// The files of an archive, read by its central directory.
    private func files(_ archive: [UInt8]) throws -> [String: [UInt8]] {
        func number(_ offset: Int, _ width: Int) -> Int {
            (0..<width).reduce(0) { $0 | Int(archive[offset + $1]) << (8 * $1) }
        }
        let end = archive.count - 22
        #expect(number(end, 4) == 0x0605_4b50)
        var position = number(end + 16, 4)
        #expect(position + number(end + 12, 4) == end)
        var files: [String: [UInt8]] = [:]
        for _ in 0..<number(end + 10, 2) {
            #expect(number(position, 4) == 0x0201_4b50)
            #expect(number(position + 10, 2) == 0)
            let size = number(position + 20, 4)
            #expect(number(position + 24, 4) == size)
            let nameLength = number(position + 28, 2)
            let name = String(
                decoding: archive[(position + 46)..<(position + 46 + nameLength)],
                as: UTF8.self
            )
            let local = number(position + 42, 4)
            #expect(number(local, 4) == 0x0403_4b50)
            let start = local + 30 + number(local + 26, 2) + number(local + 28, 2)
            let bytes = Array(archive[start..<(start + size)])
            #expect(number(position + 16, 4) == Int(CRC32.checksum(of: bytes)))
            #expect(number(local + 14, 4) == Int(CRC32.checksum(of: bytes)))
            files[name] = bytes
            position += 46 + nameLength + number(position + 30, 2) + number(position + 32, 2)
        }
        #expect(position == end)
        return files
    }

    @Test("what was put in comes out, names in UTF-8")
    func roundTrip() throws {
        var archive = ZipArchive()
        let contents: [(String, [UInt8])] = [
            ("job/0.png", Array("first".utf8)), ("job/é.png", []),
            ("job/2.png", (0..<1000).map { UInt8(truncatingIfNeeded: $0 * 7) }),
        ]
        var bytes: [UInt8] = []
        for (name, content) in contents {
            bytes += archive.header(of: name, content, day: 20_000) + content
        }
        bytes += archive.ending()
        let found = try files(bytes)
        #expect(found == Dictionary(uniqueKeysWithValues: contents))
    }

    @Test("an archive of nothing has an end")
    func empty() throws {
        #expect(try files(ZipArchive().ending()).isEmpty)
    }

    @Test("more files than 16 bits count have the long record")
    func many() {
        var archive = ZipArchive()
        for index in 0..<70_000 { _ = archive.header(of: "\(index)", [UInt8](), day: 0) }
        let ending = archive.ending()
        let record = Array(ending.suffix(22 + 20 + 56))
        #expect(Array(record.prefix(4)) == [0x50, 0x4b, 0x06, 0x06])
        let count = (0..<8).reduce(0) { $0 | Int(record[24 + $1]) << (8 * $1) }
        #expect(count == 70_000)
        #expect(Array(record[56..<60]) == [0x50, 0x4b, 0x06, 0x07])
        #expect(Array(ending.suffix(14).prefix(4)) == [0xff, 0xff, 0xff, 0xff])
    }

    @Test("the checksum is that of zip and PNG", arguments: [("", 0), ("123456789", 0xcbf4_3926)])
    func checksum(text: String, value: UInt32) {
        #expect(CRC32.checksum(of: Array(text.utf8)) == value)
        let long = Array(String(repeating: "a", count: 37).utf8)
        let slow = long.reduce(UInt32.max) { value, byte in
            (0..<8).reduce(value ^ UInt32(byte)) { value, _ in
                value & 1 == 1 ? value >> 1 ^ 0xedb8_8320 : value >> 1
            }
        }
        #expect(CRC32.checksum(of: long) == ~slow)
    }

    @Test(
        "days are written as MS-DOS does",
        arguments: [
            (0, 1980, 1, 1), (3652, 1980, 1, 1), (11_016, 2000, 2, 29), (20_787, 2026, 11, 30),
        ]
    )
    func date(day: Int, year: Int, month: Int, dayOfMonth: Int) {
        let date = Int(ZipArchive.date(ofDay: day))
        #expect((date >> 9) + 1980 == year)
        #expect(date >> 5 & 15 == month)
        #expect(date & 31 == dayOfMonth)
    }
}
