/// The text of Server-Sent Events, as the HTML standard writes them.
enum EventStream {
    /// One event.
    ///
    /// - Parameters:
    ///   - name: What kind it is.
    ///   - data: Its data; one `data:` line for each line.
    ///   - id: What a reader sends back as `Last-Event-ID`; nil for what is not stored.
    /// - Returns: Its text, with the empty line that ends it.
    static func event(_ name: String, data: String, id: Int64? = nil) -> String {
        var text = ""
        if let id { text += "id: \(id)\n" }
        text += "event: \(name)\n"
        for line in data.split(separator: "\n", omittingEmptySubsequences: false) {
            text += "data: \(line)\n"
        }
        return text + "\n"
    }

    /// A line that readers skip and that keeps the connection open.
    static let keepAlive = ": still here\n\n"
}
