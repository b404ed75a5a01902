import Glibc
import Imaging

extension Condition {
    /// The picture that is encoded.
    func prepared(by preparation: Preparation, refRes: Int) -> PixelImage {
        switch preparation {
        case .none: image
        case .resize: AreaResampler.resizeToArea(image, refRes: refRes)
        }
    }
}

/// The exponential function in float32.
func exponential(_ x: Float) -> Float { expf(x) }
