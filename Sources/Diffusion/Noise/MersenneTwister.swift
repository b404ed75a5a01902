/// The 32-bit Mersenne Twister (MT19937), the source of PyTorch's CPU random numbers.
struct MersenneTwister: Sendable {
    private static let size = 624
    private static let middle = 397

    private var state: [UInt32]
    private var position = Self.size

    /// Seeds the state by Knuth's recurrence, as `init_genrand` does.
    init(seed: UInt32) {
        state = [UInt32](repeating: 0, count: Self.size)
        state[0] = seed
        for index in 1..<Self.size {
            let previous = state[index - 1]
            state[index] = 1_812_433_253 &* (previous ^ (previous >> 30)) &+ UInt32(index)
        }
    }

    /// Returns the next tempered 32-bit word.
    mutating func next() -> UInt32 {
        if position == Self.size {
            twist()
        }
        var word = state[position]
        position += 1
        word ^= word >> 11
        word ^= (word << 7) & 0x9d2c_5680
        word ^= (word << 15) & 0xefc6_0000
        word ^= word >> 18
        return word
    }

    private mutating func twist() {
        for index in 0..<Self.size {
            let upper = state[index] & 0x8000_0000
            let lower = state[(index + 1) % Self.size] & 0x7fff_ffff
            let mixed = upper | lower
            let magic: UInt32 = mixed & 1 == 0 ? 0 : 0x9908_b0df
            state[index] = state[(index + Self.middle) % Self.size] ^ (mixed >> 1) ^ magic
        }
        position = 0
    }
}
