import Glibc

/// A moment, in nanoseconds since the beginning of 1970.
package struct Timestamp: Sendable, Hashable, Comparable {
    package let nanoseconds: UInt64

    package init(nanoseconds: UInt64) {
        self.nanoseconds = nanoseconds
    }

    /// The moment by the system's clock.
    package static func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(
            nanoseconds: UInt64(max(0, time.tv_sec)) * 1_000_000_000 + UInt64(time.tv_nsec)
        )
    }

    package static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    /// As RFC 3339 has it, in UTC to the microsecond: `2026-12-01T20:00:00.000000Z`.
    package var text: String {
        var seconds = time_t(nanoseconds / 1_000_000_000)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func padded(_ number: Int, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        func two(_ number: Int32) -> String { padded(Int(number), 2) }
        let date =
            "\(padded(Int(parts.tm_year) + 1900, 4))-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
        let time = "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
        let fraction = padded(Int(nanoseconds / 1000 % 1_000_000), 6)
        return "\(date)T\(time).\(fraction)Z"
    }
}
