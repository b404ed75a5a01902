import Diffusion
import Tensors
import Testing

@Suite
struct NoiseSourceTests {
    @Test("a part has the whole's values", arguments: [SafetensorsType.float32, .bfloat16])
    func parts(_ type: SafetensorsType) {
        let source = NoiseSource(seed: 3, type: type)
        let whole = Tensor(rows: 9, columns: 17)
        source.read("some.weight", shape: [9, 17], into: whole.elements)
        let part = Tensor(rows: 4, columns: 20)
        let inner = part.columns(2..<13)
        source.read("some.weight", shape: [9, 17], rows: 3..<7, columns: 5..<16, into: inner)
        #expect(inner.values == whole.rows(3..<7).columns(5..<16).copy().values)
    }
}
