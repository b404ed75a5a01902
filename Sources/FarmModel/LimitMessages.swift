/// A named limit, of which each leased task that asks for it takes a place.
package struct LimitView: Codable, Hashable, Sendable {
    package var name: String
    /// How many places there are.
    package var count: Int
    /// How many tasks have a place now.
    package var used: Int
    /// Whose tasks have them; only for those who see the jobs of every owner.
    package var jobs: [LimitUse]?

    package init(name: String, count: Int, used: Int, jobs: [LimitUse]? = nil) {
        self.name = name
        self.count = count
        self.used = used
        self.jobs = jobs
    }
}

/// A job whose tasks have places of a limit.
package struct LimitUse: Codable, Hashable, Sendable {
    package var job: JobID
    package var name: String
    package var owner: String
    /// How many of its tasks have a place.
    package var tasks: Int

    package init(job: JobID, name: String, owner: String, tasks: Int) {
        self.job = job
        self.name = name
        self.owner = owner
        self.tasks = tasks
    }
}

/// How many places a limit is to have: the body of `PUT /v1/limits/{name}`.
package struct LimitRequest: Codable, Hashable, Sendable {
    package var count: Int

    package init(count: Int) {
        self.count = count
    }
}
