/// How a job's images follow from its axes: the answer to `GET /v1/jobs/{job}/axes`.
package struct JobAxesView: Codable, Hashable, Sendable {
    /// How many images the job has.
    package var images: Int
    /// The axes of several values, in the order of the table of keys.
    package var axes: [JobAxisView]

    package init(_ job: ResolvedJob) {
        images = job.imageCount
        axes = job.axesView
    }
}

/// An axis of a job: image `index` has the value at `(index / stride) % values.count`.
package struct JobAxisView: Codable, Hashable, Sendable {
    package var parameter: Parameter
    /// How many images in a row have the same value.
    package var stride: Int
    /// The values as a specification writes them.
    package var values: [SpecificationValue]
}

/// The states of all of a job's images: the answer to `GET /v1/jobs/{job}/states`.
package struct ImageStatesView: Codable, Hashable, Sendable {
    /// The first letter of each image's state, by index: `wwrrdfc`; `p` of a draft, which has a picture.
    package var states: String
    /// The number of a job's event of which the states know, and perhaps of later ones.
    package var eventNumber: Int64

    package init(states: String, eventNumber: Int64) {
        self.states = states
        self.eventNumber = eventNumber
    }
}
