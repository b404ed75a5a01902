/// How the numeric classes of groups are called.
package enum ClassOfGroup {
    /// Whether a class can be that of a group of `ranks` workers whose own class is `member`: it is
    /// called like theirs, with how the group splits the model behind it, as `…/int8/tp2` of `…/int8`.
    ///
    /// Workers that do not tell their class can be of any.
    package static func canBe(_ numericClass: String, of member: String, ranks: Int) -> Bool {
        guard self.ranks(of: numericClass) == ranks else { return false }
        return member.isEmpty
            || numericClass == member + "/" + (numericClass.split(separator: "/").last ?? "")
    }

    /// How many workers make the pictures of a class together: 2 of `…/int8/tp2` and
    /// `…/int8/tp2-packed`; nil of a worker's own class.
    package static func ranks(of numericClass: String) -> Int? {
        guard let split = numericClass.split(separator: "/").last, split.hasPrefix("tp") else {
            return nil
        }
        let digits = split.dropFirst(2).prefix { $0 != "-" }
        guard digits.allSatisfy(\.isNumber), let ranks = Int(digits), ranks > 1 else { return nil }
        return ranks
    }
}
