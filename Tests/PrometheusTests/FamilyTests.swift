import Prometheus
import Testing

@Suite struct FamilyTests {
    private static let labels = [
        MetricLabel("kind", ["a", "b"]), MetricLabel("pool", ["day"], isOpen: true),
    ]

    private func numbers(_ family: some MetricFamily) -> [[String]: Double] {
        Dictionary(
            uniqueKeysWithValues: family.series().map { series in
                guard case .number(let value) = series.value else { return (series.labels, -1) }
                return (series.labels, value)
            }
        )
    }

    @Test("every combination of known values is there from the start, at zero")
    func known() {
        let counter = Counter(
            MetricDescription("x_total", .counter, unit: "x", help: "X", labels: Self.labels)
        )
        #expect(numbers(counter) == [["a", "day"]: 0, ["b", "day"]: 0])
        counter.add(1, "b", "night")
        #expect(numbers(counter) == [["a", "day"]: 0, ["b", "day"]: 0, ["b", "night"]: 1])
    }

    @Test("counts that are too large for their sum stay at the greatest")
    func saturation() {
        var distribution = Distribution(bounds: [1])
        for value in [0.5, 0.5, 0.5, 2] { distribution.add(value, times: .max) }
        #expect(distribution.counts == [.max, UInt64(Int.max)])
        #expect(distribution.cumulativeCounts == [.max, .max])
        #expect(distribution.count == .max)
    }

    @Test("a counter takes nothing that would make it fall or spoil it")
    func growth() {
        let counter = Counter(MetricDescription("x_total", .counter, unit: "x", help: "X"))
        for amount in [2, -1, .nan, .infinity, 0.5] { counter.add(amount) }
        #expect(numbers(counter) == [[]: 2.5])
        let histogram = Histogram(
            MetricDescription("x", .histogram, unit: "x", help: "X"),
            bounds: [1]
        )
        for value in [-1, .nan, .infinity, 0.5] { histogram.observe(value) }
        histogram.observe(1, times: -3)
        guard case .distribution(let distribution)? = histogram.series().first?.value else {
            Issue.record("no series")
            return
        }
        #expect(distribution.count == 1 && distribution.sum == 0.5)
        #expect(distribution.counts == [1, 0])
    }

    @Test("names from elsewhere make a bounded number of series")
    func bounded() {
        let counter = Counter(
            MetricDescription("x_total", .counter, unit: "x", help: "X", labels: Self.labels)
        )
        for number in 0..<2000 { counter.add(1, "a", "pool \(number)") }
        let series = numbers(counter)
        #expect(series.count < 510)
        #expect(series[["a", "other"], default: 0] > 1000)
        #expect(series.values.reduce(0, +) == 2000)
    }

    @Test("a gauge that is absent shows nothing until it is told, and again when it is cleared")
    func absence() {
        let gauge = Gauge(
            MetricDescription("x", .gauge, unit: "x", help: "X", labels: [Self.labels[0]]),
            areAbsent: true
        )
        #expect(gauge.series().isEmpty)
        gauge.replace([["a"]: 1, ["b"]: 0])
        #expect(numbers(gauge) == [["a"]: 1, ["b"]: 0])
        gauge.replace([:])
        #expect(gauge.series().isEmpty)
    }

    @Test("what is read shows its known series at zero, too")
    func reading() {
        let family = ReadFamily(
            MetricDescription("x_total", .counter, unit: "x", help: "X", labels: [Self.labels[0]])
        ) { [["b"]: 7] }
        #expect(numbers(family) == [["a"]: 0, ["b"]: 7])
    }

    @Test("many tasks at once lose nothing")
    func concurrency() async {
        let histogram = Histogram(
            MetricDescription("x", .histogram, unit: "x", help: "X"),
            bounds: [1]
        )
        await withTaskGroup { group in
            for _ in 0..<8 {
                group.addTask { for _ in 0..<1000 { histogram.observe(1) } }
            }
        }
        guard case .distribution(let distribution)? = histogram.series().first?.value else {
            Issue.record("no series")
            return
        }
        #expect(distribution.count == 8000 && distribution.sum == 8000)
    }
}
