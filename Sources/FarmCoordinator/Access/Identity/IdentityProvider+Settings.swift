import FarmModel
import HTTPTransport

extension IdentityProvider {
    /// The names of the settings that make a provider.
    package static let settingNames = [
        "oidc-issuer", "oidc-audience", "oidc-keys", "oidc-owner-claim", "oidc-role-claim",
        "oidc-roles", "oidc-algorithms", "oidc-ca",
    ]

    /// The provider that the settings name; nil where they name none.
    ///
    /// - Parameter source: The settings.
    /// - Throws: ``SettingsError`` that names the setting and what it may be.
    package init?(_ source: SettingsSource) throws(SettingsError) {
        guard let issuer = source.value("oidc-issuer") else {
            let others = Self.settingNames.filter { source.value($0) != nil }
            guard let first = others.first else { return nil }
            throw SettingsError(path: "--\(first)", message: "takes an --oidc-issuer")
        }
        func required(_ name: String) throws(SettingsError) -> String {
            guard let text = source.value(name), !text.isEmpty else {
                throw SettingsError(path: "--\(name)", message: "is needed with --oidc-issuer")
            }
            return text
        }
        self.init(
            issuer: issuer,
            audience: try required("oidc-audience"),
            keys: try Self.keys(try required("oidc-keys"))
        )
        roles = try Self.roles(try required("oidc-roles"))
        ownerClaim = source.value("oidc-owner-claim") ?? ownerClaim
        roleClaim = source.value("oidc-role-claim") ?? roleClaim
        if let text = source.value("oidc-algorithms") { algorithms = try Self.algorithms(text) }
        tls = HTTPClientTLS(authorities: source.value("oidc-ca"))
    }

    private static func keys(_ text: String) throws(SettingsError) -> Keys {
        guard text.contains("://") else { return .file(text) }
        let isPlain =
            text.hasPrefix("http://")
            && ["127.0.0.1", "localhost", "[::1]"].contains {
                text.dropFirst(7).hasPrefix($0 + ":") || text.dropFirst(7).hasPrefix($0 + "/")
            }
        guard text.hasPrefix("https://") || isPlain else {
            throw SettingsError(
                path: "--oidc-keys",
                message: "'\(text)' is neither a file nor an https address"
            )
        }
        return .address(text)
    }

    private static func roles(_ text: String) throws(SettingsError) -> [String: TokenRole] {
        var roles: [String: TokenRole] = [:]
        for part in text.split(separator: ",") {
            // The value of a claim may be an address, with a '=' in it.
            guard let sign = part.lastIndex(of: "="), sign != part.startIndex,
                let role = TokenRole(rawValue: String(part[part.index(after: sign)...])),
                role != .worker
            else {
                throw SettingsError(
                    path: "--oidc-roles",
                    message: "'\(part)' is not like artists=submitter; a value gives viewer, "
                        + "submitter, operator or admin, and never worker"
                )
            }
            roles[String(part[..<sign])] = role
        }
        return roles
    }

    private static func algorithms(_ text: String) throws(SettingsError) -> Set<Algorithm> {
        var algorithms: Set<Algorithm> = []
        for part in text.split(separator: ",") {
            guard let algorithm = Algorithm(rawValue: String(part)) else {
                throw SettingsError(
                    path: "--oidc-algorithms",
                    message: "'\(part)' is none of "
                        + Algorithm.allCases.map(\.rawValue).joined(separator: ", ")
                )
            }
            algorithms.insert(algorithm)
        }
        guard !algorithms.isEmpty else {
            throw SettingsError(path: "--oidc-algorithms", message: "is empty; leave it out")
        }
        return algorithms
    }

    /// The settings that take effect, by name.
    package var effective: [(String, String)] {
        let place =
            switch keys {
            case .file(let path): path
            case .address(let address): address
            }
        let roles = self.roles.map { "\($0.key)=\($0.value.rawValue)" }.sorted()
        return [
            ("oidc-issuer", issuer), ("oidc-audience", audience), ("oidc-keys", place),
            ("oidc-owner-claim", ownerClaim), ("oidc-role-claim", roleClaim),
            ("oidc-roles", roles.joined(separator: ",")),
            ("oidc-algorithms", algorithms.map(\.rawValue).sorted().joined(separator: ",")),
            ("oidc-ca", tls.authorities ?? "the system's"),
        ]
    }
}
