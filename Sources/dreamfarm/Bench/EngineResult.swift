import FoundationEssentials

extension EngineBenchmark.Result {
    var text: String {
        let head = """
            \(tokens) tokens in \(precision), \(threads) threads, \(kernels)
            \(rounded(seconds, 1000)) s a pass (median of \(passes.count)), \
            \(Int(gflops.rounded())) GFLOP/s, \(Int((100 * peakShare).rounded())) % of the peak \
            (products \(Int(productPeak.rounded())), attention \(Int(attentionPeak.rounded())) G/s)
            """
        guard let group else { return head }
        return ([head] + weights.map(\.text) + [text(of: group)]).joined(separator: "\n")
    }

    private func text(of group: EngineBenchmark.GroupResult) -> String {
        let link = """
            \(rounded(group.bytesSent / 1e6, 10)) MB sent a pass, \
            sums under way \(rounded(group.busySeconds, 1000)) s, \
            waited for \(rounded(group.waitedSeconds, 1000)) s \
            (\(rounded(100 * group.waitedShare, 10)) % of a pass); \
            round trip \(rounded(group.roundTrip * 1000, 1000)) ms, \
            \(rounded(group.bandwidth * 8 / 1e9, 100)) Gbit/s
            """
        guard let expected = group.prediction else { return link }
        return link + """
            \nexpected \(rounded(expected.seconds, 1000)) s a pass: \
            \(rounded(expected.arithmetic, 1000)) s of arithmetic, \
            \(rounded(expected.exposed, 1000)) s of sums not hidden, \
            \(rounded(expected.gather, 1000)) s of copies; \
            measured \(rounded(100 * seconds / expected.seconds, 10)) % of it, \
            \(rounded(expected.alone / seconds, 100)) times as fast as alone
            """
    }

    private func rounded(_ value: Double, _ factor: Double) -> Double {
        (value * factor).rounded() / factor
    }
}
