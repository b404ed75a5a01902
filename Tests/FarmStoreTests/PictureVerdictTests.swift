import FarmModel
import FarmStore
import Testing

@Suite struct PictureVerdictTests {
    @Test(
        "one against two is wrong, and nobody else is accused",
        arguments: [
            (["a", "a"], PictureVerdict.equal), (["a", "b"], .disputed),
            (["a", "b", "a"], .different(wrong: 1)), (["a", "b", "b"], .different(wrong: 0)),
            (["a", "b", "c"], .undecided),
        ]
    )
    func verdict(digests: [String], verdict: PictureVerdict) {
        let renderings = digests.map {
            AuditedRendering(worker: .random(), name: "w", digest: $0)
        }
        #expect(PictureVerdict(renderings) == verdict)
    }

    @Test("who went on with what others began is a suspect, no liar", arguments: [true, false])
    func shared(isShared: Bool) {
        let renderings = ["b", "a", "a"].enumerated().map { place, digest in
            AuditedRendering(
                worker: .random(),
                name: "\(place)",
                digest: digest,
                isShared: place == 0 && isShared
            )
        }
        let (liar, suspects) = PictureVerdict(renderings).accused(among: renderings)
        #expect(liar == (isShared ? nil : renderings[0]))
        #expect(suspects == (isShared ? [renderings[0]] : []))
    }
}
