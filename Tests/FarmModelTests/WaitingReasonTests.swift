import FarmModel
import FoundationEssentials
import Testing

@Suite struct WaitingReasonTests {
    private static let causes: [(WaitingCause, String)] = [
        (
            .noWorker(.init(model: "flux", pool: "day", tags: ["amx"], numericClass: "f32/1")),
            "dreamfarm-worker run --model DIR --pool day --tag amx (DIR is the model's folder, or"
        ),
        (.noMemory(needed: 16 << 30, largest: 8 << 30), "needs 16 GiB of memory and the largest"),
        (.noPrecision(wanted: "int8", offered: []), "compute in none; start one with --precision"),
        (
            .noGroup(
                GroupShortage(size: 4, model: "X", precision: "int8", members: ["a", "b", "c"])
            ),
            "group of 4 waits for 1 more worker that holds model X in int8 (3 of 4: a, b, c); start"
        ),
        (
            .noGroup(
                GroupShortage(
                    size: 2,
                    model: "X",
                    members: ["a", "b"],
                    doings: [GroupShortage.doing(of: 1, .loading)]
                )
            ),
            "the group of 2 for model X forms: a, b; rank 1 loads its slice"
        ),
        (.poolPaused(pool: "night"), "dreamfarm resume --pool night"),
        (.poolPaused(pool: "day shift"), "dreamfarm resume --pool 'day shift'"),
        (.poolPaused(pool: nil), "whole farm is paused; an operator lets it go on with: dreamfarm"),
        (.jobPaused, "dreamfarm resume"),
        (.dependency(jobs: ["a", "b"]), "after a, b, which"),
        (.startAfter(Date(timeIntervalSince1970: 0)), "after 1970-01-01T00:00:00Z"),
        (
            .backoff(until: Date(timeIntervalSince1970: 60), failure: "out of memory"),
            "until 1970-01-01T00:01:00Z after a failed attempt: out of memory; it"
        ),
        (.limit(maxWorkers: 8), "has 8 tasks at work"),
        (.limit(maxWorkers: 1), "has 1 task at work"),
        (
            .namedLimit(LimitShortage(name: "houdini", count: 2, used: 2, own: 1)),
            "'houdini' has 2 places and 2 are in use, 1 by tasks of this owner and 1 by others'"
        ),
        (
            .namedLimit(LimitShortage(name: "nuke", count: nil)),
            "nobody has set the limit 'nuke' that it asks for; an operator does with: dreamfarm limits"
        ),
        (
            .namedLimit(LimitShortage(name: "nuke", count: 0)),
            "set to 0, which stops what asks for it; an operator raises it with: dreamfarm limits"
        ),
        (
            .quota(QuotaShortage(owner: "ann", kind: .images, used: 4, most: 4)),
            "'ann' uses 4 of 4 images at work at one time; it goes on when running images end, or an"
        ),
        (
            .quota(QuotaShortage(owner: "a b", kind: .blobBytes, used: 3072, most: 2048)),
            "uses 3 KiB of 2 KiB of references and pictures; delete jobs that are over, with: dream"
        ),
        (
            .quota(
                QuotaShortage(owner: "ann", kind: .compute, used: 90, most: 60, period: .week)
            ),
            "90 of 60 seconds of workers in the last 7 days; it goes on by itself as the period moves"
        ),
        (.draft, "finish it with: dreamfarm keep JOB INDEX"),
        (.fairShare(owner: "ann"), "the share of 'ann'"),
        (.behind(tasks: 12), "12 tasks of the same owner go first"),
        (.behind(tasks: 1), "1 task of the same owner goes first"),
        (.behind(tasks: 0), "it is next"),
        (.blobStoreFull(freePercent: 4.96, reservePercent: 5.5), "has 5.0 % free and keeps 5.5 %"),
    ]

    @Test("each reason has a sentence with its figures", arguments: 0..<26)
    func sentence(number: Int) throws {
        let (cause, words) = Self.causes[number]
        #expect(cause.sentence.contains(words), "\(cause.sentence)")
        #expect(!cause.sentence.hasSuffix(".") && !cause.sentence.contains("Optional"))
        let view = WhyView(cause, tasks: 3, task: .random())
        #expect(view.reason == cause.reason)
        #expect(try FarmJSON.decode(WhyView.self, from: FarmJSON.text(view)) == view)
    }

    @Test("every reason of the design has a cause, and no other")
    func names() {
        let names =
            "no_worker no_memory no_precision no_group pool_paused job_paused dependency "
            + "start_after backoff draft limit quota fair_share behind blob_store_full"
        #expect(WaitingReason.allCases.map(\.rawValue).joined(separator: " ") == names)
        #expect(Set(Self.causes.map(\.0.reason)) == Set(WaitingReason.allCases))
    }
}
