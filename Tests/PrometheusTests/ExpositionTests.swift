import Prometheus
import Testing

@Suite struct ExpositionTests {
    private func description(
        _ name: String,
        _ kind: MetricDescription.Kind,
        unit: String = "things",
        help: String = "What it is",
        labels: [MetricLabel] = []
    ) -> MetricDescription {
        MetricDescription(name, kind, unit: unit, help: help, labels: labels)
    }

    @Test("a counter keeps its suffix in the text format; OpenMetrics names the family without")
    func counter() {
        let counter = Counter(
            description(
                "farm_things_total",
                .counter,
                labels: [MetricLabel("kind", ["a", "b"])]
            )
        )
        counter.add(1, "b")
        counter.add(2.5, "b")
        #expect(
            Exposition.text.write([counter]) == """
                # HELP farm_things_total What it is
                # TYPE farm_things_total counter
                farm_things_total{kind="a"} 0
                farm_things_total{kind="b"} 3.5

                """
        )
        #expect(
            Exposition.openMetrics.write([counter]) == """
                # HELP farm_things What it is
                # TYPE farm_things counter
                # UNIT farm_things things
                farm_things_total{kind="a"} 0
                farm_things_total{kind="b"} 3.5
                # EOF

                """
        )
    }

    @Test("a histogram's buckets add up, with the same bounds in both formats")
    func histogram() {
        let histogram = Histogram(
            description(
                "farm_wait_seconds",
                .histogram,
                unit: "seconds",
                labels: [MetricLabel("pool", [], isOpen: true)]
            ),
            bounds: [0.5, 1, 25]
        )
        for value in [0.5, 0.75, 1, 30] { histogram.observe(value, "day") }
        histogram.observe(2, times: 3, "day")
        let series = """
            farm_wait_seconds_bucket{pool="day",le="0.5"} 1
            farm_wait_seconds_bucket{pool="day",le="1.0"} 3
            farm_wait_seconds_bucket{pool="day",le="25.0"} 6
            farm_wait_seconds_bucket{pool="day",le="+Inf"} 7
            farm_wait_seconds_sum{pool="day"} 38.25
            farm_wait_seconds_count{pool="day"} 7

            """
        #expect(
            Exposition.text.write([histogram]) == """
                # HELP farm_wait_seconds What it is
                # TYPE farm_wait_seconds histogram

                """ + series
        )
        #expect(
            Exposition.openMetrics.write([histogram]) == """
                # HELP farm_wait_seconds What it is
                # TYPE farm_wait_seconds histogram
                # UNIT farm_wait_seconds seconds

                """ + series + "# EOF\n"
        )
    }

    @Test("a histogram without labels has its bounds alone in braces")
    func plainHistogram() {
        let histogram = Histogram(description("farm_ratio", .histogram), bounds: [1])
        let lines = Exposition.text.write([histogram]).split(separator: "\n").dropFirst(2)
        #expect(
            lines == [
                "farm_ratio_bucket{le=\"1.0\"} 0", "farm_ratio_bucket{le=\"+Inf\"} 0",
                "farm_ratio_sum 0", "farm_ratio_count 0",
            ]
        )
    }

    @Test("an info is a gauge where the format has none")
    func info() {
        let info = Gauge(
            description("farm_build_info", .info, labels: [MetricLabel("version", ["1.2"])])
        )
        #expect(
            Exposition.text.write([info]) == """
                # HELP farm_build_info What it is
                # TYPE farm_build_info gauge
                farm_build_info{version="1.2"} 1

                """
        )
        #expect(
            Exposition.openMetrics.write([info]) == """
                # HELP farm_build What it is
                # TYPE farm_build info
                farm_build_info{version="1.2"} 1
                # EOF

                """
        )
    }

    @Test("quotes, backslashes and ends of lines are escaped where they would end something")
    func escaping() {
        let gauge = Gauge(
            description(
                "farm_things",
                .gauge,
                help: "A \"word\", a \\ and\nan end",
                labels: [MetricLabel("name", [], isOpen: true)]
            )
        )
        gauge.set(1, "a \"b\" \\ c\nd é")
        let sample = #"farm_things{name="a \"b\" \\ c\nd é"} 1"#
        #expect(
            Exposition.text.write([gauge]) == """
                # HELP farm_things A "word", a \\\\ and\\nan end
                # TYPE farm_things gauge
                \(sample)

                """
        )
        let open = Exposition.openMetrics.write([gauge])
        #expect(open.contains(#"# HELP farm_things A \"word\", a \\ and\nan end"#))
        #expect(open.contains(sample))
    }

    @Test(
        "numbers are written as the formats have them",
        arguments: [
            (0, "0"), (-1, "-1"), (1.5, "1.5"), (1e9, "1000000000"), (1e300, "1e+300"),
            (.infinity, "+Inf"), (-.infinity, "-Inf"), (.nan, "NaN"), (1e-7, "1e-07"),
        ]
    )
    func numbers(value: Double, text: String) {
        let gauge = Gauge(description("farm_things", .gauge))
        gauge.set(value)
        #expect(Exposition.text.write([gauge]).hasSuffix("\nfarm_things \(text)\n"))
    }

    @Test(
        "the format is the one that is asked for",
        arguments: [
            (nil, Exposition.text), ("", .text), ("*/*", .text), ("text/plain", .text),
            ("application/json", .text), ("application/openmetrics-text", .openMetrics),
            ("application/openmetrics-text; version=1.0.0, text/plain;q=0.5", .openMetrics),
            ("text/plain;version=0.0.4, application/openmetrics-text;q=0.1", .text),
            ("application/openmetrics-text;q=0", .text),
            (
                """
                application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                application/openmetrics-text;version=0.0.1;q=0.5,\
                text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,\
                */*;q=0.2
                """, .openMetrics
            ),
        ]
    )
    func negotiation(accept: String?, format: Exposition) {
        #expect(Exposition(accept: accept) == format)
        #expect(format.contentType.hasPrefix(format == .text ? "text/plain; version=0.0.4" : "app"))
    }
}
