/// The bytes of a zip archive whose files are stored uncompressed, made piece by piece.
///
/// Follows PKWARE's APPNOTE 6.3.9: local header and bytes of each file, then the central
/// directory; sizes and offsets beyond 32 bits and more than 65,535 files use the zip64 records.
struct ZipArchive {
    private struct Entry {
        var name: [UInt8]
        var checksum: UInt32
        var size: UInt64
        var offset: UInt64
        var time: UInt16
        var date: UInt16
    }

    private var entries: [Entry] = []
    private var position: UInt64 = 0

    init() {}

    /// What stands before a file's bytes, which the caller sends right behind it.
    ///
    /// - Parameters:
    ///   - name: The file's relative path, unlike any before it.
    ///   - data: The file's bytes.
    ///   - day: The days since 1970 of its modification.
    /// - Returns: The local header.
    mutating func header(of name: String, _ data: some Collection<UInt8>, day: Int) -> [UInt8] {
        let entry = Entry(
            name: Array(name.utf8),
            checksum: CRC32.checksum(of: data),
            size: UInt64(data.count),
            offset: position,
            time: 0,
            date: Self.date(ofDay: day)
        )
        entries.append(entry)
        var bytes: [UInt8] = []
        bytes.append(little: UInt32(0x0403_4b50))
        Self.appendCommon(entry, isLocal: true, to: &bytes)
        position += UInt64(bytes.count) + entry.size
        return bytes
    }

    /// The central directory, which ends the archive.
    func ending() -> [UInt8] {
        var bytes: [UInt8] = []
        for entry in entries {
            bytes.append(little: UInt32(0x0201_4b50))
            // Made by version 4.5 on Unix, so that the mode below counts.
            bytes.append(little: UInt16(3 << 8 | 45))
            Self.appendCommon(entry, isLocal: false, to: &bytes)
        }
        let size = UInt64(bytes.count)
        let needsLong = entries.count >= 0xffff || position >= UInt64(UInt32.max)
        if needsLong { appendLongEnding(directorySize: size, to: &bytes) }
        bytes.append(little: UInt32(0x0605_4b50))
        bytes.append(little: UInt32(0))
        let count = UInt16(clamping: entries.count)
        bytes.append(little: count)
        bytes.append(little: count)
        bytes.append(little: UInt32(clamping: size))
        bytes.append(little: UInt32(clamping: position))
        bytes.append(little: UInt16(0))
        return bytes
    }

    /// The zip64 record of the directory's end and its locator.
    private func appendLongEnding(directorySize: UInt64, to bytes: inout [UInt8]) {
        let start = position + directorySize
        bytes.append(little: UInt32(0x0606_4b50))
        bytes.append(little: UInt64(44))
        bytes.append(little: UInt16(3 << 8 | 45))
        bytes.append(little: UInt16(45))
        bytes.append(little: UInt64(0))
        bytes.append(little: UInt64(entries.count))
        bytes.append(little: UInt64(entries.count))
        bytes.append(little: directorySize)
        bytes.append(little: position)
        bytes.append(little: UInt32(0x0706_4b50))
        bytes.append(little: UInt32(0))
        bytes.append(little: start)
        bytes.append(little: UInt32(1))
    }

    /// What a local header and a directory entry have in common, each with its own end.
    private static func appendCommon(_ entry: Entry, isLocal: Bool, to bytes: inout [UInt8]) {
        var extra: [UInt8] = []
        let isLong = entry.size >= UInt64(UInt32.max)
        let isFar = !isLocal && entry.offset >= UInt64(UInt32.max)
        if isLong {
            extra.append(little: entry.size)
            extra.append(little: entry.size)
        }
        if isFar { extra.append(little: entry.offset) }
        if !extra.isEmpty {
            var header: [UInt8] = []
            header.append(little: UInt16(1))
            header.append(little: UInt16(extra.count))
            extra = header + extra
        }
        bytes.append(little: UInt16(extra.isEmpty ? 20 : 45))
        // Bit 11: names are UTF-8. Method 0: stored.
        bytes.append(little: UInt16(1 << 11))
        bytes.append(little: UInt16(0))
        bytes.append(little: entry.time)
        bytes.append(little: entry.date)
        bytes.append(little: entry.checksum)
        bytes.append(little: isLong ? UInt32.max : UInt32(entry.size))
        bytes.append(little: isLong ? UInt32.max : UInt32(entry.size))
        bytes.append(little: UInt16(entry.name.count))
        bytes.append(little: UInt16(extra.count))
        if !isLocal {
            bytes.append(little: UInt16(0))
            bytes.append(little: UInt16(0))
            bytes.append(little: UInt16(0))
            // A regular file that its owner may write and everyone read.
            bytes.append(little: UInt32(0o100644) << 16)
            bytes.append(little: isFar ? UInt32.max : UInt32(entry.offset))
        }
        bytes.append(contentsOf: entry.name)
        bytes.append(contentsOf: extra)
    }

    /// A day since 1970 as MS-DOS writes dates, at the earliest 1980-01-01.
    static func date(ofDay day: Int) -> UInt16 {
        // Howard Hinnant's civil_from_days, for days after 1970.
        let shifted = max(day, 3652) + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let dayOfMonth = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        let year = min(yearOfEra + era * 400 + (month <= 2 ? 1 : 0), 2107)
        return UInt16((year - 1980) << 9 | month << 5 | dayOfMonth)
    }
}

/// The checksum of zip and PNG files.
enum CRC32 {
    /// The checksum's steps for a byte, and for a byte that up to seven others follow.
    private static let tables: [[UInt32]] = {
        var tables = [[UInt32]](repeating: [UInt32](repeating: 0, count: 256), count: 8)
        for index in 0..<256 {
            var value = UInt32(index)
            for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ 0xedb8_8320 : value >> 1 }
            tables[0][index] = value
        }
        for index in 0..<256 {
            for table in 1..<8 {
                let before = tables[table - 1][index]
                tables[table][index] = before >> 8 ^ tables[0][Int(before & 0xff)]
            }
        }
        return tables
    }()

    /// The checksum of `bytes`.
    static func checksum(of bytes: some Collection<UInt8>) -> UInt32 {
        let result = bytes.withContiguousStorageIfAvailable { checksum($0) }
        return result ?? Array(bytes).withUnsafeBufferPointer { checksum($0) }
    }

    private static func checksum(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt32 {
        let tables = tables
        var value = UInt32.max
        var index = 0
        while index + 8 <= bytes.count {
            value ^=
                UInt32(bytes[index]) | UInt32(bytes[index + 1]) << 8
                | UInt32(bytes[index + 2]) << 16 | UInt32(bytes[index + 3]) << 24
            value =
                tables[7][Int(value & 0xff)] ^ tables[6][Int(value >> 8 & 0xff)]
                ^ tables[5][Int(value >> 16 & 0xff)] ^ tables[4][Int(value >> 24)]
                ^ tables[3][Int(bytes[index + 4])] ^ tables[2][Int(bytes[index + 5])]
                ^ tables[1][Int(bytes[index + 6])] ^ tables[0][Int(bytes[index + 7])]
            index += 8
        }
        while index < bytes.count {
            value = value >> 8 ^ tables[0][Int((value ^ UInt32(bytes[index])) & 0xff)]
            index += 1
        }
        return ~value
    }
}

extension [UInt8] {
    /// Appends a number with its lowest byte first.
    fileprivate mutating func append(little value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }
}
