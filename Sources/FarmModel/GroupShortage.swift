/// What a group lacks that a task waits for.
package struct GroupShortage: Hashable, Sendable {
    /// How many workers are to render together.
    package var size: Int
    package var model: String
    package var precision: String?
    package var pool: String?
    /// The workers that are there, by name.
    package var members: [String]
    /// What the members do that are not ready, as `rank 2 loads its slice`.
    package var doings: [String]
    /// Why the farm itself chose a group; nil where the job asks for it.
    package var choice: String?
    /// Why it is not to be had though all of its workers are there, as `is busy with 1 task`.
    package var hindrance: String?
    /// Whether that is since its pictures are of another class.
    package var isOfOtherClass = false
    /// How many workers are free that take the seats of those that are missing by themselves.
    package var spares = 0
    /// Into how many ranks the model can be split, where more are asked for.
    package var mostRanks: Int?

    package init(
        size: Int,
        model: String,
        precision: String? = nil,
        pool: String? = nil,
        members: [String] = [],
        doings: [String] = []
    ) {
        self.size = size
        self.model = model
        self.precision = precision
        self.pool = pool
        self.members = members
        self.doings = doings
    }

    /// How many workers it still takes.
    package var missing: Int { max(0, size - members.count) }

    /// What a member of a rank does, in words.
    package static func doing(of rank: Int, _ phase: GroupPhase) -> String {
        switch phase {
        case .reserved: "rank \(rank) finishes what it holds"
        case .loading: "rank \(rank) loads its slice"
        case .waiting: "rank \(rank) waits for the others"
        case .connecting: "rank \(rank) connects to the others"
        case .ready: "rank \(rank) is ready"
        case .broken: "rank \(rank) broke off"
        }
    }

    /// Whether nothing that happens by itself ends it: there are too few workers, the group makes
    /// other pictures, or the model cannot be split so far.
    package var isFinal: Bool { missing > spares || isOfOtherClass || mostRanks != nil }

    var sentence: String {
        var place = "model \(model)"
        if let precision { place += " in \(precision)" }
        if let pool { place += " in the pool '\(pool)'" }
        let there = members.isEmpty ? "" : ": " + members.joined(separator: ", ")
        var text: String
        if let mostRanks {
            return "a model of \(mostRanks) heads cannot be split over \(size) workers, as it asks "
                + "of \(place); lower requirements.group"
        }
        if let hindrance {
            text = "the group of \(size) for \(place) \(hindrance)\(there)"
        } else if missing > 0, missing <= spares {
            text = "the group of \(size) for \(place) gets \(missing) new of its members\(there)"
        } else if missing > 0 {
            let workers = missing == 1 ? "worker that holds" : "workers that hold"
            text =
                "the group of \(size) waits for \(missing) more \(workers) \(place) "
                + "(\(members.count) of \(size)\(there)); start one with: "
                + "dreamfarm-worker run --model DIR --group auto"
        } else {
            text = "the group of \(size) for \(place) forms\(there)"
        }
        if !doings.isEmpty { text += "; " + doings.joined(separator: ", ") }
        if let choice { text += "; it takes a group since " + choice }
        return text
    }

    var details: SpecificationValue {
        var entries: [String: SpecificationValue] = [
            "size": .integer(size), "workers": .integer(members.count),
            "missing": .integer(missing), "model": .string(model), "is_final": .bool(isFinal),
            "members": .list(members.map { .string($0) }),
            "doings": .list(doings.map { .string($0) }),
        ]
        if let precision { entries["precision"] = .string(precision) }
        if let pool { entries["pool"] = .string(pool) }
        if let choice { entries["choice"] = .string(choice) }
        if let mostRanks { entries["most_ranks"] = .integer(mostRanks) }
        return .mapping(entries)
    }
}
