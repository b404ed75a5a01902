import FoundationEssentials

/// The PNG bytes of one picture that shows all of `pictures`, or nil where there are none.
func makeContactSheet(pictures: [String]) throws -> Data? {
    nil
}
