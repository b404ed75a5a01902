import Imaging

/// Why a request cannot be rendered.
package enum RenderRequestError: Error, Equatable, CustomStringConvertible {
    case side(name: String, value: Int)
    case slot(name: String, slot: Int)
    case placeholder(slot: Int, given: [Int])
    case unpreparedSide(name: String, width: Int, height: Int)
    case cfgWindow(start: Int, end: Int)
    case outOfRange(key: String, value: String, allowed: String)

    package var description: String {
        switch self {
        case .side(let name, let value):
            "\(name) \(value) is not a multiple of 16 of at least 16: try \(rounded(value))"
        case .slot(let name, let slot):
            "\(name): slot \(slot) is outside 1…9: choose one of the placeholders [ref#1]…[ref#9]"
        case .placeholder(slot: 0, _):
            "the prompt's [ref#0] names no reference: slots are 1…9, from [ref#1] to [ref#9]"
        case .placeholder(let slot, let given):
            "the prompt's [ref#\(slot)] has no reference in slot \(slot)"
                + (given.isEmpty
                    ? ": give one with --reference FILE:TASK:\(slot)"
                    : ": references are in slots \(given.map(String.init).joined(separator: ", "))")
        case .unpreparedSide(let name, let width, let height):
            "\(name) is \(width)×\(height), and without preparation its sides must be"
                + " multiples of 16: use --prepare resize, or resize the file"
        case .cfgWindow(let start, let end):
            "true-cfg \(start):\(end) is no range of steps: they count from 0"
        case .outOfRange(let key, let value, let allowed):
            "\(key) \(value) is out of range: \(allowed)"
        }
    }

    private func rounded(_ value: Int) -> Int { max(16, value / 16 * 16) }
}

extension RenderRequest {
    /// Checks what can be checked without the model.
    ///
    /// - Throws: The first problem found.
    package func validate() throws(RenderRequestError) {
        for (name, value) in [("width", width), ("height", height)]
        where value < 16 || value % 16 != 0 {
            throw .side(name: name, value: value)
        }
        let (pixels, overflows) = width.multipliedReportingOverflow(by: height)
        try check("size", overflows ? .max : pixels, 16...1 << 26)
        try check("steps", steps, 1...1000)
        try check("ref-res", refRes, 16...4096)
        if let maxTextTokens {
            try check("max-text-tokens", maxTextTokens, 1...512)
        }
        for (key, value) in [
            ("guidance", guidance), ("first-step-guidance", firstStepGuidance),
            ("true-cfg", trueCFG.scale), ("negative-guidance", trueCFG.guidance),
        ] where !(value >= 0 && value <= 1000) {
            throw .outOfRange(key: key, value: "\(value)", allowed: "a number from 0 to 1000")
        }
        guard stepCache >= 0, stepCache <= 1 else {
            throw .outOfRange(
                key: "step-cache",
                value: "\(stepCache)",
                allowed: "a number from 0 to 1"
            )
        }
        for lora in loras where !lora.strength.isFinite {
            throw .outOfRange(
                key: "the weight of \(lora.name)",
                value: "\(lora.strength)",
                allowed: "a finite number"
            )
        }
        guard trueCFG.scale <= 1 || trueCFG.start >= 0 && trueCFG.end >= 0 else {
            throw .cfgWindow(start: trueCFG.start, end: trueCFG.end)
        }
        try validateConditions()
    }

    private func check(
        _ key: String,
        _ value: Int,
        _ allowed: ClosedRange<Int>
    ) throws(RenderRequestError) {
        guard allowed.contains(value) else {
            throw .outOfRange(
                key: key,
                value: "\(value)",
                allowed: "from \(allowed.lowerBound) to \(allowed.upperBound)"
            )
        }
    }

    private func validateConditions() throws(RenderRequestError) {
        var names: [Int: String] = [:]
        for condition in conditions {
            guard (1...9).contains(condition.slot) else {
                throw .slot(name: condition.name, slot: condition.slot)
            }
            names[condition.slot] = condition.name
            let (width, height) = (condition.image.width, condition.image.height)
            guard prepare != .none || width % 16 == 0 && height % 16 == 0 else {
                throw .unpreparedSide(name: condition.name, width: width, height: height)
            }
        }
        for slot in 0...9 where prompt.contains("[ref#\(slot)]") && names[slot] == nil {
            throw .placeholder(slot: slot, given: names.keys.sorted())
        }
    }
}
