/// How the numeric classes of groups are called.
package enum ClassOfGroup {
    /// Whether a class can be that of a group of workers whose own class is `member`: it is called
    /// like theirs, with how the group splits the model behind it, as `…/int8/tp2` of `…/int8`.
    ///
    /// Workers that do not tell their class can be of any.
    package static func canBe(_ numericClass: String, of member: String) -> Bool {
        member.isEmpty || numericClass.hasPrefix(member + "/")
    }
}
