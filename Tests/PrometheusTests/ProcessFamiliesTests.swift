import Foundation
import Testing

@testable import Prometheus

@Suite struct ProcessFamiliesTests {
    private func value(_ name: String) throws -> Double {
        let family = try #require(
            ProcessFamilies.all.first { $0.description.name == name }
        )
        guard case .number(let value)? = family.series().first?.value else {
            Issue.record("\(name) has no number")
            return 0
        }
        return value
    }

    @Test("the names are those of Prometheus' libraries")
    func names() {
        #expect(
            ProcessFamilies.all.map(\.description.name) == [
                "process_start_time_seconds", "process_cpu_seconds_total",
                "process_resident_memory_bytes", "process_open_fds", "process_max_fds",
            ]
        )
    }

    @Test("the process began before now, and not long ago")
    func start() throws {
        let start = try value("process_start_time_seconds")
        let now = Date().timeIntervalSince1970
        #expect(start <= now + 1 && start > now - 86_400)
        #expect(try value("process_start_time_seconds") == start)
    }

    @Test("work costs time of processors, and memory is counted in bytes")
    func work() throws {
        let before = try value("process_cpu_seconds_total")
        var sum = 0.0
        while try value("process_cpu_seconds_total") < before + 0.01 {
            sum += (sum + 1).squareRoot()
        }
        #expect(sum > 0)
        #expect(try value("process_resident_memory_bytes") > 1_048_576)
    }

    @Test("a file that is opened is counted, and the limit is the system's")
    func files() throws {
        let most = try value("process_max_fds")
        // Others' tests open files beside this one: enough to be seen whatever they close.
        let before = try value("process_open_fds")
        let pipes = (0..<64).map { _ in Pipe() }
        #expect(try value("process_open_fds") >= before + 64)
        #expect(most >= before + 128)
        withExtendedLifetime(pipes) {}
    }
}
