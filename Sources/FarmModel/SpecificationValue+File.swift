package import FoundationEssentials

extension SpecificationValue {
    /// Reads a file: JSON where it begins as JSON does, else YAML; in UTF-8, with or without a mark
    /// at its beginning.
    ///
    /// JSON is nearly YAML: pairs of surrogate escapes are not. What only YAML allows may stand in a
    /// file that begins as JSON.
    ///
    /// - Throws: ``JobSpecificationError`` that names the line where the file stops being either.
    package init(file: Data) throws(JobSpecificationError) {
        let mark: [UInt8] = [0xef, 0xbb, 0xbf]
        let data = file.starts(with: mark) ? Data(file.dropFirst(mark.count)) : file
        guard let text = String(validating: data, as: UTF8.self) else {
            throw JobSpecificationError(
                path: "",
                message: "line \(Self.firstLineOutsideUTF8(data)): is not text in UTF-8; "
                    + "save the file in UTF-8"
            )
        }
        guard Self.beginsAsJSON(text) else {
            self = try SpecificationValue(yaml: text)
            return
        }
        do throws(JobSpecificationError) {
            self = try SpecificationValue(json: data)
        } catch {
            guard let value = try? SpecificationValue(yaml: text) else { throw error }
            self = value
        }
    }

    /// Whether the text is a mapping whose first key is quoted.
    private static func beginsAsJSON(_ text: String) -> Bool {
        let rest = text.drop(while: \.isWhitespace)
        return rest.first == "{" && rest.dropFirst().drop(while: \.isWhitespace).first == "\""
    }

    private static func firstLineOutsideUTF8(_ data: Data) -> Int {
        let lines = data.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        return (lines.firstIndex { String(validating: $0, as: UTF8.self) == nil } ?? 0) + 1
    }
}
