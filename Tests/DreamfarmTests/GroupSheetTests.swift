import FarmModel
import Foundation
import Testing

@testable import dreamfarm

@Suite struct GroupSheetTests {
    private func view(size: Int = 2, of wanted: Int = 2) -> GroupView {
        var figures = GroupFigures()
        figures.steps = 4
        figures.stepSeconds = 10
        figures.reduceSeconds = 1
        let members = (0..<size).map { rank in
            GroupMemberView(
                rank: rank,
                worker: .random(),
                name: "w\(rank)",
                phase: .ready,
                isFit: rank == 0,
                lastSeenAt: Date(),
                figures: rank == 0 ? figures : nil
            )
        }
        return GroupView(
            id: .random(),
            name: "pair",
            state: .ready,
            origin: .needed,
            pool: "day",
            model: "flux",
            modelDigest: "d",
            precision: "int8",
            size: size,
            wantedSize: wanted,
            epoch: 3,
            numericClass: "int8/x2",
            createdAt: Date(),
            members: members
        )
    }

    @Test("a group is told with its members and what each does")
    func lines() {
        #expect(
            GroupSheet.lines(of: view()) == [
                "pair is ready, 2 workers: w0, w1",
                "model flux, int8, pool day, epoch 3",
                "numeric class int8/x2",
                "RANK  WORKER     PHASE  STEP   SUMS    WAITS",
                "0     w0         ready  2.5 s  0.25 s  0.0 s",
                "1     w1 (away)  ready  -      -       -",
            ]
        )
    }

    @Test("a group with fewer members than were asked for says so")
    func short() {
        #expect(GroupSheet.summary(of: view(size: 2, of: 3)).contains("2 of 3 workers"))
    }
}
