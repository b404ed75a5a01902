package import FarmModel
import FarmStore

/// The settings of a coordinator, read once.
package struct CoordinatorConfiguration: Sendable {
    package var dataDirectory: String
    package var listen: ListenAddress
    /// Where the database is; nil for a private one in the data folder.
    package var databaseURL: String?
    /// Where blobs are, a folder or `s3://bucket/prefix`; nil for a folder in the data folder.
    package var blobStore: String?
    /// The part of the blob store's room that uploads leave free, 0…1.
    package var blobReserve = 0.05
    package var timing: LeaseTiming
    /// Whether an address that others can reach may be served without TLS.
    package var allowsInsecureListen: Bool
    /// What it proves itself with; nil where it serves without TLS.
    package var tls: TLSFiles?
    /// How many requests a second a token may make over time; nil for any number.
    package var requestRate: Double? = 200
    /// The identity provider whose tokens open the farm, too; nil for none.
    package var identity: IdentityProvider?
    /// How long a worker's own key is good.
    package var workerCredential: Duration = .seconds(86_400)
    /// What webhooks are signed with; nil for a secret that is kept in the data folder.
    package var webhookSecret: String?
    /// Whether webhooks may have addresses that are not of the public internet.
    package var allowsPrivateWebhooks = false
    /// Whether tasks of a higher band of priority take the place of those that render.
    package var preempts = true
    /// How long an attempt renders before it may be parked for one.
    package var preemptQuantum: Duration = .seconds(60)
    /// How long what is queued may take, by which the size of a fleet is recommended.
    package var capacityTarget: Duration = .seconds(900)
    /// The share of delivered pictures that another worker renders again to compare them, 0…1.
    package var auditShare = 0.0
    /// Whether `/metrics` takes no token.
    package var areMetricsOpen = false
    /// How long pictures are kept from the end of their job on; nil for ever.
    package var keepOutputs: Duration?
    /// How long workers' log lines are kept; nil for ever.
    package var keepLogs: Duration? = .seconds(14 * 86_400)
    /// How long jobs that are over are kept; nil for ever.
    package var keepHistory: Duration? = .seconds(90 * 86_400)
    /// How long drafts wait for a person; nil for ever.
    package var keepDrafts: Duration? = .seconds(14 * 86_400)
    /// The process's environment, for the credentials of an S3 store.
    package var environment: [String: String] = [:]

    package init(
        dataDirectory: String,
        listen: ListenAddress,
        databaseURL: String?,
        timing: LeaseTiming,
        allowsInsecureListen: Bool
    ) {
        self.dataDirectory = dataDirectory
        self.listen = listen
        self.databaseURL = databaseURL
        self.timing = timing
        self.allowsInsecureListen = allowsInsecureListen
    }

    /// What the retention duty takes away.
    var retention: RetentionPolicy {
        var policy = RetentionPolicy()
        policy.logs = keepLogs
        policy.history = keepHistory
        policy.outputs = keepOutputs
        policy.drafts = keepDrafts
        return policy
    }

    /// Where blobs are.
    var blobLocation: String { blobStore ?? dataDirectory + "/blobs" }
}

/// Why a coordinator does not start.
package enum CoordinatorError: Error, CustomStringConvertible {
    case insecureListen(ListenAddress)
    case dataDirectory(String)
    case addressTaken(ListenAddress)
    case address(ListenAddress, reason: String)
    /// A file of a certificate or key cannot be used.
    case certificate(path: String, reason: String)

    package var description: String {
        switch self {
        case .insecureListen(let address):
            "\(address) can be reached from other machines without TLS; give --tls-certificate and "
                + "--tls-key, listen on 127.0.0.1, or give --insecure-listen"
        case .dataDirectory(let path):
            "\(path): the data folder cannot be made; give another --data-dir"
        case .addressTaken(let address):
            "something listens at \(address) already; stop it, or give another --listen"
        case .address(let address, let reason):
            "cannot listen at \(address): \(reason); give another --listen"
        case .certificate(let path, let reason):
            "\(path): \(reason); see --tls-certificate, --tls-key and --tls-client-ca"
        }
    }
}
