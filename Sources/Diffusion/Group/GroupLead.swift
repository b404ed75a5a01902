import Networks
package import Tensors

/// How the members of a group reach each other: the leader's words to the others, beside the sums.
package protocol GroupChannel: Reduction {
    /// Sends a message to all other members; only the leader, rank 0, does.
    func post(_ message: [UInt8]) throws

    /// The leader's next message.
    ///
    /// - Throws: What ended the connection.
    func receive() throws -> [UInt8]
}

/// The leader's side of a group: it says what is computed next, and computes its part of it.
final class GroupLead {
    let channel: any GroupChannel
    private var branches = 0
    /// What kept a message from being sent.
    private var refusal: (any Error)?

    init(_ channel: any GroupChannel) {
        self.channel = channel
    }

    /// Begins a branch of a picture; it is over when it is let go.
    func open(_ conditions: FluxTrunk.Conditions, stepCache: Float) -> LedBranch {
        branches += 1
        tell(.open(branch: branches, conditions, stepCache: stepCache))
        return LedBranch(self, number: branches)
    }

    /// Says what comes next; a failure is told of by `check`.
    func tell(_ message: GroupMessage) {
        guard refusal == nil else { return }
        do {
            try channel.post(message.bytes)
        } catch {
            refusal = error
        }
    }

    /// Checks that all members are there.
    ///
    /// - Throws: ``GroupError/broken(reason:)``.
    func check() throws(GroupError) {
        guard let error = channel.failure ?? refusal else { return }
        throw .broken(reason: "\(error)")
    }
}

/// A branch of a picture that a group denoises.
final class LedBranch {
    private let lead: GroupLead
    private let number: Int

    init(_ lead: GroupLead, number: Int) {
        self.lead = lead
        self.number = number
    }

    deinit {
        lead.tell(.close(branch: number))
    }

    /// The modulating vectors of the next steps are these: (steps, hidden).
    func modulate(_ temb: Tensor) {
        lead.tell(.modulate(branch: number, temb: temb))
    }

    /// A step, counted from the first of those vectors, begins from these latents.
    func begin(step: Int, _ latents: Tensor) {
        lead.tell(.step(branch: number, step: step, latents: latents))
    }
}
