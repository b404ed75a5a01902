import Networks
import Tensors

/// The grid of 2×2 latent patches that tokens are.
package struct TokenGrid: Sendable, Equatable {
    package let rows: Int
    package let columns: Int

    package init(rows: Int, columns: Int) {
        self.rows = rows
        self.columns = columns
    }

    package var count: Int { rows * columns }

    /// The positions of its tokens, row by row, from a corner.
    func positions(from corner: TokenPosition) -> [TokenPosition] {
        (0..<rows).flatMap { row in
            (0..<columns).map {
                TokenPosition(row: corner.row + row, column: corner.column + $0)
            }
        }
    }
}

/// Packing of latents into tokens and back; a token's channels are (channel, dy, dx).
enum Patches {
    /// A latent (channels, 2·rows × 2·columns) as tokens (rows·columns, 4·channels).
    static func pack(_ latent: Tensor, grid: TokenGrid) -> Tensor {
        let tokens = Tensor(rows: grid.count, columns: 4 * latent.rows)
        forEach(grid, channels: latent.rows) { token, feature, channel, pixel in
            tokens.row(token)[feature] = latent.row(channel)[pixel]
        }
        return tokens
    }

    /// Tokens (rows·columns, 4·channels) as a latent (channels, 2·rows × 2·columns).
    static func unpack(_ tokens: Tensor, grid: TokenGrid) -> Tensor {
        let latent = Tensor(rows: tokens.columns / 4, columns: 4 * grid.count)
        forEach(grid, channels: latent.rows) { token, feature, channel, pixel in
            latent.row(channel)[pixel] = tokens.row(token)[feature]
        }
        return latent
    }

    private static func forEach(
        _ grid: TokenGrid,
        channels: Int,
        _ body: (_ token: Int, _ feature: Int, _ channel: Int, _ pixel: Int) -> Void
    ) {
        let width = 2 * grid.columns
        for token in 0..<grid.count {
            let (row, column) = (token / grid.columns, token % grid.columns)
            for channel in 0..<channels {
                for dy in 0..<2 {
                    for dx in 0..<2 {
                        body(
                            token,
                            4 * channel + 2 * dy + dx,
                            channel,
                            (2 * row + dy) * width + 2 * column + dx
                        )
                    }
                }
            }
        }
    }
}
