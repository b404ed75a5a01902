import Testing

@testable import Collectives

@Suite("Signs of life")
struct LinkSignTests {
    @Test("signs are read as they were written")
    func signs() {
        let signs: [LinkSign] = [
            .alive, .leaving, .silent(rank: 513, seconds: 8.5), .lost(rank: 3), .left(rank: 700),
        ]
        for sign in signs {
            #expect(sign.bytes.withUnsafeBytes { LinkSign($0) } == sign)
        }
        #expect([UInt8](repeating: 0, count: 8).withUnsafeBytes { LinkSign($0) } == nil)
    }

    @Test("what a rank goes for names the same rank everywhere")
    func reasons() {
        let silent = LinkError.silent(rank: 2, seconds: 8)
        let sign = LinkSign(silent, of: 0)
        #expect(sign.reason(from: 0, own: 1) == silent)
        let accused = LinkError.accused(by: 0, silentSeconds: 8)
        #expect(sign.reason(from: 0, own: 2) == accused)
        #expect(LinkSign(accused, of: 2).reason(from: 2, own: 1) == silent)
        #expect(LinkSign(.lost(rank: 2), of: 0).reason(from: 0, own: 1) == .lost(rank: 2))
        #expect(LinkSign(.closed, of: 0).reason(from: 0, own: 1) == .left(rank: 0))
        #expect(LinkSign(.wrongProof(rank: 1), of: 0).reason(from: 0, own: 1) == .left(rank: 0))
    }
}
