package import Prometheus

extension FarmTracer {
    /// How many of its spans the collector took, and how many were lost, as a family of metrics.
    ///
    /// - Parameter name: The family's name.
    /// - Returns: The family.
    package func family(_ name: String) -> ReadFamily {
        ReadFamily(
            MetricDescription(
                name,
                .counter,
                unit: "spans",
                help: "Spans that the collector of traces took, and that were lost",
                labels: [MetricLabel("outcome", ["dropped", "exported"])]
            )
        ) {
            let counts = counts
            return [["exported"]: Double(counts.exported), ["dropped"]: Double(counts.dropped)]
        }
    }
}
