import FarmModel
import FoundationEssentials
import Glibc

/// The coordinator's admin token, in a file that only its user can read.
package enum TokenFile {
    /// Reads the token of `dataDirectory`, making one at the first start.
    ///
    /// The file appears whole and with mode 0600.
    ///
    /// - Throws: ``TokenFileError`` when the file can be neither read nor made.
    package static func token(in dataDirectory: String) throws(TokenFileError) -> String {
        let path = FarmSettings.tokenFile(in: dataDirectory)
        if let token = read(path) { return token }
        let token = makeToken()
        let aside = path + ".new"
        unlink(aside)
        let descriptor = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw TokenFileError(path: path, code: errno) }
        defer { close(descriptor) }
        let text = Array((token + "\n").utf8)
        // A link, unlike a rename, never replaces the token of a coordinator that was quicker.
        guard write(descriptor, text, text.count) == text.count, fsync(descriptor) == 0,
            link(aside, path) == 0 || errno == EEXIST
        else { throw TokenFileError(path: path, code: errno) }
        unlink(aside)
        guard let token = read(path) else { throw TokenFileError(path: path, code: EIO) }
        return token
    }

    private static func read(_ path: String) -> String? {
        guard let data = FileManager.default.contents(atPath: path) else { return nil }
        let text = String(decoding: data.filter { $0 > 0x20 && $0 < 0x7f }, as: UTF8.self)
        return text.count < 16 ? nil : text
    }

    private static func makeToken() -> String {
        var generator = SystemRandomNumberGenerator()
        let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567")
        return String((0..<40).compactMap { _ in alphabet.randomElement(using: &generator) })
    }
}

/// Why there is no admin token.
package struct TokenFileError: Error, CustomStringConvertible {
    package var path: String
    package var code: Int32

    package var description: String {
        "\(path): the token cannot be kept: \(String(cString: strerror(code))); check --data-dir"
    }
}
