import Tensors
import Testing

@testable import Collectives

@Suite("Sums over a group", .serialized, .timeLimit(.minutes(2)))
struct SumTests {
    /// Sizes that vectors, parts and ranks do not divide, and such that leave ranks without a part.
    private static let shapes = [(1, 1), (1, 63), (3, 43), (5, 128), (37, 211), (256, 301)]

    @Test("every rank has the sum in the order of ranks, to the last bit", arguments: 2...5)
    func sum(size: Int) throws {
        try LinkGroup.run(size: size) { group in
            for format in [ReductionFormat.float32, .bfloat16] {
                for (rows, columns) in Self.shapes {
                    let sums = try group.onRanks { link in
                        let values = Tensor(
                            rows: rows,
                            columns: columns,
                            values: scattered(rows * columns, seed: link.rank)
                        )
                        link.wait(link.sum(values, in: format))
                        return values.values
                    }
                    let expected = Self.expected(rows * columns, size: size, format)
                    for sum in sums {
                        #expect(sum == expected, "\(size) ranks, \(rows)×\(columns) in \(format)")
                    }
                }
            }
        }
    }

    @Test("tickets that are waited for out of order have their own sums")
    func pipelined() throws {
        try LinkGroup.run(size: 3) { group in
            let before = group.links[0].statistics
            let counts = [5000, 70, 12345, 1, 999, 4096, 20000, 3]
            let sums = try group.onRanks { link in
                let values = counts.enumerated().map { index, count in
                    Tensor(
                        rows: 1,
                        columns: count,
                        values: scattered(count, seed: link.rank + 10 * index)
                    )
                }
                let tickets = values.map { link.sum($0, in: .bfloat16) }
                for ticket in tickets.reversed() {
                    link.wait(ticket)
                }
                return values.map(\.values)
            }
            for (index, count) in counts.enumerated() {
                let expected = Self.expected(count, size: 3, .bfloat16, seed: 10 * index)
                #expect(sums.allSatisfy { $0[index] == expected })
            }
            let after = group.links[0].statistics
            #expect(after.reductions - before.reductions == counts.count)
            #expect(after.bytesSent - before.bytesSent > counts.reduce(0, +))
            #expect(after.busySeconds > before.busySeconds)
        }
    }

    @Test("a second run gives the same bits")
    func repeated() throws {
        let runs = try (0..<2).map { _ in
            try LinkGroup.run(size: 4) { group in
                try group.onRanks { link in
                    let values = Tensor(rows: 90, columns: 100)
                    values.copy(
                        from: Tensor(
                            rows: 90,
                            columns: 100,
                            values: scattered(9000, seed: link.rank)
                        )
                    )
                    for _ in 0..<5 {
                        link.wait(link.sum(values, in: .bfloat16))
                    }
                    return values.values
                }
            }
        }
        #expect(runs[0] == runs[1])
        #expect(Set(runs[0]).count == 1)
    }

    @Test("columns of uneven parts reach every rank")
    func gather() throws {
        let parts = [0..<7, 7..<7, 7..<20, 20..<21]
        try LinkGroup.run(size: 4) { group in
            let gathered = try group.onRanks { link in
                let values = Tensor(rows: 13, columns: 21)
                let own = parts[link.rank]
                for row in 0..<13 {
                    for column in own {
                        values.row(row)[column] = Float(100 * row + column)
                    }
                }
                link.gather(values, columns: parts)
                return values.values
            }
            let expected = (0..<13).flatMap { row in (0..<21).map { Float(100 * row + $0) } }
            #expect(gathered.allSatisfy { $0 == expected })
        }
    }

    @Test("each rank gets its rows of a sum")
    func reduceScatter() throws {
        let parts = [0..<5, 5..<5, 5..<17]
        try LinkGroup.run(size: 3) { group in
            for format in [ReductionFormat.float32, .bfloat16] {
                let sums = try group.onRanks { link in
                    let values = Tensor(
                        rows: 17,
                        columns: 31,
                        values: scattered(17 * 31, seed: link.rank)
                    )
                    try link.reduceScatter(values, rows: parts, in: format)
                    return values.rows(parts[link.rank]).values
                }
                let values = parts.map { $0.lowerBound * 31..<$0.upperBound * 31 }
                let expected = Self.expected(17 * 31, size: 3, format, parts: values)
                #expect(sums.flatMap(\.self) == expected)
            }
        }
    }

    @Test("memory of one rank reaches all, and a barrier holds everyone")
    func broadcast() throws {
        try LinkGroup.run(size: 3) { group in
            let copies = try group.onRanks { link in
                var bytes = [UInt8](repeating: link.rank == 1 ? 7 : 0, count: 9 << 20)
                bytes[bytes.count - 1] = link.rank == 1 ? 42 : 0
                try bytes.withUnsafeMutableBytes { try link.broadcast($0, from: 1) }
                try link.barrier()
                return (bytes[0], bytes[bytes.count - 1])
            }
            #expect(copies.allSatisfy { $0 == (7, 42) })
        }
    }

    @Test("a group of one rounds its values")
    func alone() throws {
        try LinkGroup.run(size: 1) { group in
            let values = Tensor(rows: 1, columns: 100, values: scattered(100, seed: 0))
            group.links[0].wait(group.links[0].sum(values, in: .bfloat16))
            #expect(values.values == scattered(100, seed: 0).map(rounded))
        }
    }

    @Test("a measurement gives a delay and a bandwidth")
    func measure() throws {
        try LinkGroup.run(size: 3) { group in
            let speeds = try group.onRanks { try $0.measure() }
            for speed in speeds {
                let speed = try #require(speed)
                #expect(speed.latency > 0 && speed.latency < 1)
                #expect(speed.bandwidth > 1e6)
            }
        }
    }

    /// What a sum has to give: each part is added by one rank, in the order of ranks.
    private static func expected(
        _ count: Int,
        size: Int,
        _ format: ReductionFormat,
        seed: Int = 0,
        parts: [Range<Int>]? = nil
    ) -> [Float] {
        let values = (0..<size).map { scattered(count, seed: $0 + seed) }
        let blocks = (count + 63) / 64
        let parts =
            parts
            ?? (0..<size).map { rank in
                min(count, blocks * rank / size * 64)..<min(count, blocks * (rank + 1) / size * 64)
            }
        guard format == .bfloat16 else {
            return (0..<count).map { index in
                values.dropFirst().reduce(values[0][index]) { $0 + $1[index] }
            }
        }
        return parts.enumerated().flatMap { adder, part in
            part.map { index in
                let sent = values.enumerated().map { rank, values in
                    rank == adder ? values[index] : rounded(values[index])
                }
                return rounded(sent.dropFirst().reduce(sent[0], +))
            }
        }
    }
}
