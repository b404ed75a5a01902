/// Checks of the whole.
extension ParameterReader {
    /// What `value` says about the axes, with those it does not name multiplied at the end.
    ///
    /// An axis that the job leaves out has one value.
    mutating func combination(
        _ value: SpecificationValue?,
        axes: [WrittenAxis]
    ) -> Combination? {
        let known = axes.map(\.parameter)
        guard let value else { return .product(known.map(Combination.axis)) }
        guard let text = text(value, "combination") else { return nil }
        do throws(CombinationError) {
            let written = try Combination(parsing: text)
            let named = Set(written.axes)
            let rest = known.filter { !named.contains($0) }
            return .product([written] + rest.map(Combination.axis))
        } catch {
            findings.refuse("combination", error.message)
            return nil
        }
    }

    /// The order of the images, or nil after noting why there is none.
    mutating func layout(_ combination: Combination, axes: [WrittenAxis]) -> CombinationLayout? {
        guard let lengths = axes.lengths else { return nil }
        do throws(CombinationError) {
            return try CombinationLayout(
                combination,
                lengths: lengths,
                limit: JobSpecification.largestImageCount
            )
        } catch {
            findings.refuse("combination", error.message)
            return nil
        }
    }

    /// Notes each prompt with a placeholder that the references beside it do not fill.
    mutating func checkPlaceholders(_ axes: [WrittenAxis], _ layout: CombinationLayout) {
        let prompts = axes.first { $0.parameter == .prompt }?.values ?? []
        let sets = axes.first { $0.parameter == .references }?.values ?? []
        let wanted = prompts.map { value -> [Int] in
            if case .prompt(let text) = value { Self.placeholders(in: text) } else { [] }
        }
        guard wanted.contains(where: { !$0.isEmpty }) else { return }
        let filled = sets.map { value -> Set<Int>? in
            guard case .references(let conditions) = value else { return nil }
            return Set(conditions.map(\.slot))
        }
        let isAxis = sets.count > 1
        var seen: Set<Int> = []
        let pairs = max(1, sets.count) * prompts.count
        for index in 0..<layout.count where seen.count < pairs {
            let prompt = layout.position(of: .prompt, in: index)
            let set = layout.position(of: .references, in: index)
            guard seen.insert(prompt * max(1, sets.count) + set).inserted else { continue }
            // A set that was refused may have filled anything.
            guard let slots = sets.isEmpty ? [] : filled[set] else { continue }
            for slot in wanted[prompt] where !slots.contains(slot) {
                findings.refuse(
                    "parameters.prompt[\(prompt)]",
                    "[ref#\(slot)] has no reference in slot \(slot)"
                        + (isAxis ? " of parameters.references[\(set)]" : "")
                        + "; add one or remove the placeholder"
                )
            }
        }
    }

    /// Notes the first two images that would have one name.
    mutating func checkNames(of specification: JobSpecification) {
        let job = ResolvedJob(
            specification,
            model: "",
            modelDigest: "",
            defaults: ModelDefaults(width: 16, height: 16, refRes: 16, steps: 1, guidance: 0),
            seed: 0,
            label: "job"
        )
        // A hash for each name: two names of one hash, of which there are none in practice, are
        // made again and compared.
        var indices: [Int: Int] = [:]
        indices.reserveCapacity(job.imageCount)
        for index in 0..<job.imageCount {
            let name = job.name(at: index)
            guard OutputName.isSafe(name) else {
                findings.refuse("output.name", "gives image \(index) an unusable name")
                return
            }
            if let first = indices.updateValue(index, forKey: name.hashValue),
                job.name(at: first) == name
            {
                findings.refuse(
                    "output.name",
                    "images \(first) and \(index) are both named '\(name)'; "
                        + "add {index} to the template"
                )
                return
            }
        }
    }

    /// The numbers of the placeholders `[ref#N]` in a prompt, each once, in order.
    static func placeholders(in prompt: String) -> [Int] {
        let mark = Array("[ref#".utf8)
        let text = Array(prompt.utf8)
        var slots: Set<Int> = []
        var place = 0
        while place + mark.count < text.count {
            guard text[place] == mark[0], text[place...].starts(with: mark) else {
                place += 1
                continue
            }
            place += mark.count
            let digits = text[place...].prefix { (48...57).contains($0) }
            let end = place + digits.count
            if end < text.count, text[end] == UInt8(ascii: "]"),
                let slot = Int(String(decoding: digits, as: UTF8.self))
            {
                slots.insert(slot)
            }
        }
        return slots.sorted()
    }
}
