import FarmModel
import Testing

@Suite struct PriorityBandTests {
    @Test("every priority is of the band between its floor and the next one's", arguments: 0...100)
    func bands(_ priority: Int) {
        let band = PriorityBand(of: priority)
        #expect(band.floor <= priority)
        #expect(band.above.map { $0.floor > priority } ?? (band == .high))
    }

    @Test("bands rise with priority; what a job has that says nothing is normal")
    func order() {
        #expect(PriorityBand(of: 24) < PriorityBand(of: 25))
        #expect(PriorityBand(of: 74) < PriorityBand(of: 75))
        #expect(PriorityBand(of: 50) == .normal)
        #expect(PriorityBand.high.above == nil)
    }
}
