import Foundation
import Imaging
import Testing

/// What a terminal finds in the bytes that it is sent, read by the protocols' documents alone.
struct TerminalScreen {
    /// The pictures' files by kitty's protocol, each put together of its pieces.
    private(set) var kitty: [Data] = []
    /// The pictures' files by iTerm2's.
    private(set) var iterm: [Data] = []
    /// The control strings with sixels.
    private(set) var sixels: [Data] = []
    /// How many control strings tmux was to pass on.
    private(set) var passedOn = 0

    private var pieces = ""

    init(_ data: Data) throws {
        try read([UInt8](data))
    }

    private mutating func read(_ bytes: [UInt8]) throws {
        var place = 0
        while place + 1 < bytes.count {
            guard bytes[place] == 0x1b else {
                place += 1
                continue
            }
            let kind = bytes[place + 1]
            guard "P_]".utf8.contains(kind) else {
                place += 1
                continue
            }
            let body = place + 2
            let end = try #require(Self.end(of: kind, in: bytes, from: body))
            try take(kind, Array(bytes[body..<end.text]))
            place = end.next
        }
    }

    /// Where a control string's text ends, and where the next begins.
    private static func end(
        of kind: UInt8,
        in bytes: [UInt8],
        from start: Int
    ) -> (text: Int, next: Int)? {
        var place = start
        while place < bytes.count {
            if bytes[place] == 0x07, kind == UInt8(ascii: "]") { return (place, place + 1) }
            if bytes[place] == 0x1b, place + 1 < bytes.count {
                // tmux's own strings hold each escape twice.
                if bytes[place + 1] == UInt8(ascii: "\\") { return (place, place + 2) }
                place += 1
            }
            place += 1
        }
        return nil
    }

    private mutating func take(_ kind: UInt8, _ text: [UInt8]) throws {
        switch kind {
        case UInt8(ascii: "_"): try takeKitty(String(decoding: text, as: UTF8.self))
        case UInt8(ascii: "]"): try takeITerm(String(decoding: text, as: UTF8.self))
        default:
            guard text.starts(with: "tmux;".utf8) else {
                return sixels.append(Data("\u{1b}P".utf8 + text + "\u{1b}\\".utf8))
            }
            passedOn += 1
            var inner: [UInt8] = []
            var place = 5
            while place < text.count {
                if text[place] == 0x1b { try #require(text[place + 1] == 0x1b) }
                place += text[place] == 0x1b ? 1 : 0
                inner.append(text[place])
                place += 1
            }
            try read(inner)
        }
    }

    private mutating func takeKitty(_ text: String) throws {
        let parts = text.dropFirst().split(separator: ";", omittingEmptySubsequences: false)
        try #require(text.first == "G" && parts.count == 2)
        let keys = parts[0].split(separator: ",").map(String.init)
        if pieces.isEmpty { try #require(keys.contains("a=T") && keys.contains("f=100")) }
        try #require(parts[1].count <= 4096)
        pieces += parts[1]
        if keys.contains("m=1") {
            try #require(parts[1].count % 4 == 0)
        } else {
            kitty.append(try #require(Data(base64Encoded: pieces)))
            pieces = ""
        }
    }

    private mutating func takeITerm(_ text: String) throws {
        let colon = try #require(text.firstIndex(of: ":"))
        let head = text[..<colon]
        try #require(head.hasPrefix("1337;File="))
        let keys = head.dropFirst("1337;File=".count).split(separator: ";")
        try #require(keys.contains("inline=1"))
        let file = try #require(Data(base64Encoded: String(text[text.index(after: colon)...])))
        try #require(keys.contains("size=\(file.count)"))
        iterm.append(file)
    }
}

extension Data {
    /// The picture whose file these bytes are.
    var picture: PixelImage {
        get throws { try ImageDecoder().decode([UInt8](self), name: "the picture") }
    }
}
