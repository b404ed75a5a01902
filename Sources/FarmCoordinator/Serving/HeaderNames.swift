import HTTPTypes

/// Names of headers that the library has no constants for.
extension HTTPField.Name {
    /// Where a browser says from which site a request comes.
    static let secFetchSite = named("Sec-Fetch-Site")
    /// Where a reader of events says which it has seen last.
    static let lastEventID = named("Last-Event-ID")
    /// Whether nginx and those like it gather an answer before they pass it on.
    static let accelBuffering = named("X-Accel-Buffering")
    /// Whether a browser guesses what a body is.
    static let contentTypeOptions = named("X-Content-Type-Options")
    /// What a browser tells other sites of this address.
    static let referrerPolicy = named("Referrer-Policy")

    private static func named(_ text: String) -> HTTPField.Name {
        guard let name = HTTPField.Name(text) else {
            preconditionFailure("'\(text)' is no header's name")
        }
        return name
    }
}
