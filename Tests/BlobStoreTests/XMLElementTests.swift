import FoundationEssentials
import Testing

@testable import BlobStore

@Suite struct XMLElementTests {
    @Test("names, texts and elements are read, the rest is passed over")
    func document() throws {
        let text = """
            <?xml version="1.0" encoding="UTF-8"?>
            <!-- a > b -->
            <s3:List xmlns='http://example.com/">' a="1">
              <Key>a&amp;b &#x41;&#66; &lt;&gt;&quot;&apos; ü</Key><Empty/><Empty a="/"></Empty>
              <Inner><Key>deep</Key></Inner><Key><!-- <x> -->second</Key >
            </s3:List>
            """
        let root = try #require(XMLElement(document: Data(text.utf8)))
        #expect(root.name == "List")
        #expect(root["Key"] == "a&b AB <>\"' ü")
        #expect(root.all("Key").map(\.text) == ["a&b AB <>\"' ü", "second"])
        #expect(root.all("Empty").count == 2)
        #expect(root.all("Inner").first?["Key"] == "deep")
        #expect(root["Missing"] == nil)
    }

    @Test(
        "what is no document is refused",
        arguments: [
            "", "text", "<a>", "<a></b>", "<a/><b/>", "<a>&unknown;</a>", "<a>&#xD800;</a>",
            "<a b='></a>", "<a><b></a></b>", "<!DOCTYPE a><a/>", "<a><![CDATA[x]]></a>", "<></>",
            "<a/>x", "<a", "<!-- <a/>", "<a>&amp</a>",
            String(repeating: "<a>", count: 20) + String(repeating: "</a>", count: 20),
        ]
    )
    func refused(text: String) {
        #expect(XMLElement(document: Data(text.utf8)) == nil)
    }
}
