import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Testing

@testable import FarmCoordinator

/// What `/metrics` answered, sample by sample.
struct Scrape: Sendable {
    let text: String
    /// The values by the sample's name with its labels, as they are written.
    let samples: [String: Double]

    init(_ text: String) throws {
        self.text = text
        var samples: [String: Double] = [:]
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            let space = try #require(line.lastIndex(of: " "), "\(line)")
            let name = String(line[..<space])
            #expect(samples[name] == nil, "\(name) is there twice")
            let value: Double = try #require(
                Double(line[line.index(after: space)...]),
                "\(line)"
            )
            samples[name] = value
        }
        self.samples = samples
    }

    /// The value of a sample.
    subscript(_ name: String) -> Double? { samples[name] }
}

extension TestFarm {
    /// Reads the metrics.
    func scrape() async throws -> Scrape {
        let response = try await send(.get, "/metrics")
        #expect(response.status == .ok)
        return try Scrape(String(buffer: response.body))
    }
}
