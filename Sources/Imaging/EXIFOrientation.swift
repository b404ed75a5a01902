import CImaging

/// How a camera asks for its picture to be turned, EXIF tag 0x0112.
enum EXIFOrientation: UInt32, CaseIterable {
    case upright = 1
    case mirrored = 2
    case upsideDown = 3
    case flipped = 4
    case transposed = 5
    case turnedRight = 6
    case transversed = 7
    case turnedLeft = 8

    /// The orientation in a TIFF structure, upright when there is none or it makes no sense.
    ///
    /// A prefix `Exif\0\0`, as JPEG has it, is skipped.
    init(exif: ArraySlice<UInt8>) {
        let prefix: [UInt8] = [0x45, 0x78, 0x69, 0x66, 0, 0]
        let tiff = exif.starts(with: prefix) ? exif.dropFirst(prefix.count) : exif
        self = TIFFDirectory(tiff)?.value(of: 0x0112).flatMap(Self.init(rawValue:)) ?? .upright
    }

    /// True when rows become columns.
    var swapsSides: Bool { rawValue >= 5 }
}

/// The first directory of a TIFF structure.
private struct TIFFDirectory {
    private let bytes: ArraySlice<UInt8>
    private let isBigEndian: Bool
    private var start = 0

    /// Finds the directory, or returns nil when the structure has none.
    init?(_ bytes: ArraySlice<UInt8>) {
        if bytes.starts(with: [0x4D, 0x4D, 0, 42]) {
            isBigEndian = true
        } else if bytes.starts(with: [0x49, 0x49, 42, 0]) {
            isBigEndian = false
        } else {
            return nil
        }
        self.bytes = bytes
        guard let offset = number(at: 4, count: 4) else { return nil }
        start = Int(offset)
    }

    /// The value of an entry that holds one SHORT or LONG.
    func value(of tag: UInt32) -> UInt32? {
        guard let count = number(at: start, count: 2) else { return nil }
        for index in 0..<Int(count) {
            let entry = start + 2 + 12 * index
            guard let found = number(at: entry, count: 2) else { return nil }
            guard found == tag else { continue }
            switch number(at: entry + 2, count: 2) {
            case 3: return number(at: entry + 8, count: 2)
            case 4: return number(at: entry + 8, count: 4)
            default: return nil
            }
        }
        return nil
    }

    /// An unsigned number of 2 or 4 bytes, or nil past the end.
    private func number(at offset: Int, count: Int) -> UInt32? {
        guard offset + count <= bytes.count else { return nil }
        let field = bytes.dropFirst(offset).prefix(count)
        let ordered = isBigEndian ? Array(field) : field.reversed()
        return ordered.reduce(0) { $0 << 8 | UInt32($1) }
    }
}

extension PixelImage {
    /// The picture turned as its camera asks.
    func oriented(_ orientation: EXIFOrientation) -> PixelImage {
        guard orientation != .upright else { return self }
        var turned = [UInt8](repeating: 0, count: pixels.count)
        imaging_orient(&turned, pixels, width, height, Int32(orientation.rawValue))
        return PixelImage(
            width: orientation.swapsSides ? height : width,
            height: orientation.swapsSides ? width : height,
            pixels: turned
        )
    }
}
