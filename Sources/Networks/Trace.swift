package import Tensors

/// Receives named intermediate values while a network runs: the seam for parity dumps.
///
/// The tensor is valid during the call only.
package typealias Trace = (_ name: String, _ value: Tensor) -> Void
