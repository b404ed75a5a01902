/// Something that all ranks of a group do together, in three stages.
///
/// A stage of one operation runs beside the other stages of its neighbours, each on a lane of its
/// own. Messages go out in the first two; receives are posted as early as can be, since a message
/// waits for the notice that it is awaited.
protocol GroupOperation: Sendable {
    /// Posts receives and sends the own part.
    func begin(_ lane: OperationLane, ticket: Int) throws
    /// Makes the own share of the result, and sends it.
    func combine(_ lane: OperationLane, ticket: Int) throws
    /// Takes the others' shares; when it returns nothing is under way.
    func finish(_ lane: OperationLane, ticket: Int) throws
}

extension GroupOperation {
    func combine(_ lane: OperationLane, ticket: Int) throws {}
}

/// The memory that one operation at a time stages its messages in, kept for the next one.
///
/// The stages of a pipeline hand a lane on, so that one thread uses it at a time. That is what
/// makes the unchecked conformance right.
final class OperationLane: @unchecked Sendable {
    let mesh: GlooMesh
    private var staging: GlooBuffer?
    private var receiving: GlooBuffer?
    private var caller: GlooBuffer?

    /// Operations of other sizes than the last one's do not all make the memory anew.
    private static let granule = 1 << 16

    init(_ mesh: GlooMesh) {
        self.mesh = mesh
    }

    /// What the operation sends from, and receives results in.
    var wire: GlooBuffer {
        guard let buffer = caller ?? staging else {
            preconditionFailure("an operation names its memory when it begins")
        }
        return buffer
    }

    /// Where the operation receives what it combines.
    var incoming: GlooBuffer {
        guard let receiving else {
            preconditionFailure("an operation names its memory when it begins")
        }
        return receiving
    }

    /// Sends from memory of the caller, until `forgetMemory`.
    func useMemory(_ memory: UnsafeMutableRawBufferPointer) throws {
        caller = try GlooBuffer(mesh, over: memory)
    }

    /// Sends from memory of the lane.
    func useStaging(byteCount: Int) throws {
        try Self.grow(&staging, to: byteCount, mesh)
    }

    /// Receives in memory of the lane.
    func useIncoming(byteCount: Int) throws {
        try Self.grow(&receiving, to: byteCount, mesh)
    }

    /// Lets the caller's memory go: nobody reads or writes it any more.
    func forgetMemory() {
        caller = nil
    }

    private static func grow(
        _ buffer: inout GlooBuffer?,
        to byteCount: Int,
        _ mesh: GlooMesh
    ) throws {
        if let buffer, buffer.memory.count >= byteCount {
            return
        }
        buffer = nil
        let granules = max(1, (byteCount + granule - 1) / granule)
        buffer = try GlooBuffer(mesh, byteCount: granules * granule)
    }
}
