import FarmModel
import FoundationEssentials
import Testing

/// Documents as text: what is read, and where reading stops.
@Suite struct SpecificationTextTests {
    private func json(_ text: String) throws -> SpecificationValue {
        try SpecificationValue(json: Data(text.utf8))
    }

    @Test(
        "JSON is read as RFC 8259 has it",
        arguments: [
            ("null", .null), (" true\n", .bool(true)), ("false", .bool(false)),
            ("0", .integer(0)), ("-7", .integer(-7)), ("9223372036854775807", .integer(.max)),
            ("9223372036854775808", .number(9223372036854775808)), ("1.5", .number(1.5)),
            ("-1.5e-3", .number(-0.0015)), ("2E-1", .number(0.2)), (#""""#, .string("")),
            (#""a\"b\\c\/\b\f\n\r\t""#, .string("a\"b\\c/\u{8}\u{c}\n\r\t")),
            (#""\u00e9 é \ud83d\ude00 😀""#, .string("é é 😀 😀")), ("[]", .list([])),
            ("[ 1 ,\t[2] ]", .list([.integer(1), .list([.integer(2)])])), ("{}", .mapping([:])),
            (
                #"{"a": {"b": 1}, "c": []}"#,
                .mapping(["a": .mapping(["b": .integer(1)]), "c": .list([])])
            ),
        ] as [(String, SpecificationValue)]
    )
    func value(text: String, expected: SpecificationValue) throws {
        #expect(try json(text) == expected)
        #expect(try json(expected.canonicalJSON) == expected)
    }

    @Test(
        "what is not JSON is told with its place",
        arguments: [
            ("", "line 1, column 1: the document is empty"), ("  ", "is empty"),
            ("[1,\n 2", "line 2, column 3: is not JSON: ',' or ']'"), ("[1 2]", "line 1, column 4"),
            ("[1,]", "a value is wanted"), (#"{"a" 1}"#, "':' is wanted"), ("{a: 1}", "a key is"),
            (#"{"a": 1, "a": 2}"#, "column 10: the key 'a' is given twice"), ("1 2", "goes on"),
            (#"{"a": 1,}"#, "a key is wanted"), ("01", "not a number"), ("-", "not a number"),
            ("1.", "a digit is wanted"), ("1e", "a digit is wanted"), ("1e999", "too large"),
            ("tru", "a value is wanted"), ("\"a", "column 1: the text that begins here has no end"),
            ("\"a\nb\"", "has to be escaped"), (#""\x""#, "not an escape"), (#""\u12g4""#, "four"),
            (#""\ud800""#, "not an escape"), (#""\ud800\u0041""#, "not an escape"),
            (#""\udc00""#, "not an escape"), (#""\u+123""#, "four"), ("[", "breaks off"),
            (String(repeating: "[", count: 100_000), "nested too deeply"),
            ("[" + String(repeating: "0,", count: 1_000_000) + "0]", "more than 1000000 values"),
        ]
    )
    func notJSON(text: String, message: String) {
        let error = #expect(throws: JobSpecificationError.self) { _ = try json(text) }
        let told = error?.problems.first?.message ?? ""
        #expect(told.contains(message), "\(told)")
    }

    @Test("text that is not UTF-8 is refused")
    func notText() {
        let error = #expect(throws: JobSpecificationError.self) {
            _ = try SpecificationValue(json: Data([0x22, 0x61, 0xff, 0x22]))
        }
        #expect(error?.problems.first?.message == "line 1, column 2: is not text in UTF-8")
    }

    @Test("YAML that is nested too deeply or grows too large is refused, not followed")
    func bombs() {
        let deep = String(repeating: "[", count: 100_000)
        #expect(throws: JobSpecificationError.self) { _ = try SpecificationValue(yaml: deep) }
        var laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1..<9 {
            let parts = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
            laughs += "a\(level): &a\(level) [\(parts)]\n"
        }
        #expect(throws: JobSpecificationError.self) { _ = try SpecificationValue(yaml: laughs) }
        var chain = "? &a0 [x]\n: 1\n"
        for level in 1...300 { chain += "? &a\(level) [*a\(level - 1)]\n: 1\n" }
        let error = #expect(throws: JobSpecificationError.self) {
            _ = try SpecificationValue(yaml: chain + "last: *a300\n")
        }
        #expect(error?.description == "the document is nested too deeply")
    }

    @Test(
        "a file is JSON or YAML, with or without a mark",
        arguments: [
            (#"{"a": "\ud83d\ude00"}"#, .string("😀")), ("\u{feff}a: 1", .integer(1)),
            ("\u{feff}{\"a\": 1}", .integer(1)), ("{a: b}", .string("b")),
            (#"{"a": 1,}"#, .integer(1)), ("a: !!str 42", .string("42")),
            ("a: !!str", .string("")), ("a: 42", .integer(42)),
        ] as [(String, SpecificationValue)]
    )
    func file(text: String, expected: SpecificationValue) throws {
        let value = try SpecificationValue(file: Data(text.utf8))
        #expect(value == .mapping(["a": expected]))
    }

    @Test("a file that is neither is told by what it begins as")
    func badFile() {
        func message(_ data: Data) -> String? {
            let error = #expect(throws: JobSpecificationError.self) {
                _ = try SpecificationValue(file: data)
            }
            return error?.description
        }
        let latin = Data("a: 1\nb: caf".utf8) + [0xe9, 0x0a]
        #expect(message(latin) == "line 2: is not text in UTF-8; save the file in UTF-8")
        #expect(message(Data(#"{"a": "\ud83d"}"#.utf8))?.contains("escape as JSON") == true)
        #expect(message(Data("{a: [}".utf8))?.contains("JSON") == false)
    }

    @Test(
        "amounts of memory are read and written",
        arguments: [
            ("16GiB", 16 << 30, "16 GiB"), ("500MiB", 500 << 20, "500 MiB"), ("0", 0, "0 B"),
            ("1.5 GiB", 3 << 29, "1.5 GiB"), ("1GB", 1_000_000_000, "953.7 MiB"),
            ("7B", 7, "7 B"), ("2TiB", 2 << 40, "2 TiB"), ("1023", 1023, "1023 B"),
        ] as [(String, Int64, String)]
    )
    func amounts(text: String, bytes: Int64, written: String) {
        #expect(ByteCount.bytes(text) == bytes)
        #expect(ByteCount.text(bytes) == written)
    }

    @Test(
        "what is no amount is refused",
        arguments: ["", "GiB", "-1", "-1GiB", "1G", "1e9", "nan", "inf", "1..5GiB", "99999999TiB"]
    )
    func noAmount(text: String) {
        #expect(ByteCount.bytes(text) == nil)
    }
}
