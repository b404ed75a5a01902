import FarmModel
import FoundationEssentials
import Glibc

/// A secret in a file that only its user can read, made at the first start.
package enum SecretFile {
    /// Reads the admin token of `dataDirectory`, making one where there is none.
    ///
    /// - Throws: ``SecretFileError`` when the file can be neither read nor made.
    package static func token(in dataDirectory: String) throws(SecretFileError) -> String {
        try secret(at: FarmSettings.tokenFile(in: dataDirectory))
    }

    /// Reads the secret at `path`, making one where there is none.
    ///
    /// The file appears whole and with mode 0600.
    ///
    /// - Throws: ``SecretFileError`` when the file can be neither read nor made.
    package static func secret(at path: String) throws(SecretFileError) -> String {
        if let secret = read(path) { return secret }
        let secret = makeSecret()
        let aside = path + ".new"
        unlink(aside)
        let descriptor = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw SecretFileError(path: path, code: errno) }
        defer { close(descriptor) }
        let text = Array((secret + "\n").utf8)
        // A link, unlike a rename, never replaces the secret of a coordinator that was quicker.
        guard write(descriptor, text, text.count) == text.count, fsync(descriptor) == 0,
            link(aside, path) == 0 || errno == EEXIST
        else { throw SecretFileError(path: path, code: errno) }
        unlink(aside)
        guard let secret = read(path) else { throw SecretFileError(path: path, code: EIO) }
        return secret
    }

    private static func read(_ path: String) -> String? {
        guard let data = FileManager.default.contents(atPath: path) else { return nil }
        let text = String(decoding: data.filter { $0 > 0x20 && $0 < 0x7f }, as: UTF8.self)
        return text.count < 16 ? nil : text
    }

    private static func makeSecret() -> String {
        var generator = SystemRandomNumberGenerator()
        let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567")
        return String((0..<40).compactMap { _ in alphabet.randomElement(using: &generator) })
    }
}

/// Why there is no secret.
package struct SecretFileError: Error, CustomStringConvertible {
    package var path: String
    package var code: Int32

    package var description: String {
        "\(path): the secret cannot be kept: \(String(cString: strerror(code))); check --data-dir"
    }
}
