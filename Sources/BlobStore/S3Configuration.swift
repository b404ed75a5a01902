/// Where an S3 store is and who asks it, read once.
package struct S3Configuration: Sendable {
    package var bucket: String
    /// What every key starts with, without a slash at either end; may be empty.
    package var prefix: String
    /// The server's address with the bucket in its path; nil for Amazon's own, by name.
    package var endpoint: String?
    package var region: String
    package var accessKey: String
    package var secretKey: String
    package var sessionToken: String?
    /// How many bytes of a blob are in memory at a time; a longer blob is sent in such parts.
    ///
    /// S3 takes 10,000 of them, and none but the last may be shorter than 5 MiB.
    package var partSize = 16 << 20

    package init(
        bucket: String,
        prefix: String,
        endpoint: String?,
        region: String,
        accessKey: String,
        secretKey: String,
        sessionToken: String? = nil
    ) {
        self.bucket = bucket
        self.prefix = prefix
        self.endpoint = endpoint
        self.region = region
        self.accessKey = accessKey
        self.secretKey = secretKey
        self.sessionToken = sessionToken
    }

    /// The configuration that the usual variables of an environment give.
    ///
    /// - Parameters:
    ///   - bucket: The bucket's name.
    ///   - prefix: What every key starts with.
    ///   - environment: The variables: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
    ///     `AWS_SESSION_TOKEN`, `AWS_REGION` or `AWS_DEFAULT_REGION` (`us-east-1`), and
    ///     `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`.
    /// - Throws: ``BlobStoreError/badLocation(_:reason:)`` where one is missing or wrong.
    package init(
        bucket: String,
        prefix: String,
        environment: [String: String]
    ) throws(BlobStoreError) {
        func value(_ names: String...) -> String? {
            names.lazy.compactMap { environment[$0] }.first { !$0.isEmpty }
        }
        let setting = "s3://\(bucket)/\(prefix)"
        guard let accessKey = value("AWS_ACCESS_KEY_ID"),
            let secretKey = value("AWS_SECRET_ACCESS_KEY")
        else {
            throw .badLocation(
                setting,
                reason: "give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment"
            )
        }
        var endpoint = value("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
        while let text = endpoint, text.hasSuffix("/") { endpoint = String(text.dropLast()) }
        if let endpoint, !endpoint.hasPrefix("http://"), !endpoint.hasPrefix("https://") {
            throw .badLocation(
                setting,
                reason: "the endpoint '\(endpoint)' is no http or https address"
            )
        }
        self.init(
            bucket: bucket,
            prefix: prefix,
            endpoint: endpoint,
            region: value("AWS_REGION", "AWS_DEFAULT_REGION") ?? "us-east-1",
            accessKey: accessKey,
            secretKey: secretKey,
            sessionToken: value("AWS_SESSION_TOKEN")
        )
    }

    /// The address of the bucket, without a slash at its end.
    var bucketURL: String {
        if let endpoint { return "\(endpoint)/\(bucket)" }
        // A certificate of Amazon's covers one label before the service's name.
        if bucket.contains(".") { return "https://s3.\(region).amazonaws.com/\(bucket)" }
        return "https://\(bucket).s3.\(region).amazonaws.com"
    }
}
