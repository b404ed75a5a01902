import ArgumentParser

/// The settings of an identity provider whose tokens open the farm.
struct IdentityOptions: ParsableArguments {
    @Option(
        help: """
            The identity provider whose tokens open the farm, as its tokens name it (environment: \
            DREAMFARM_OIDC_ISSUER).
            """
    )
    var oidcIssuer: String?

    @Option(help: "For whom its tokens have to be (environment: DREAMFARM_OIDC_AUDIENCE).")
    var oidcAudience: String?

    @Option(
        help: """
            Its keys, a JSON Web Key Set: a file or an https address (environment: \
            DREAMFARM_OIDC_KEYS).
            """
    )
    var oidcKeys: String?

    @Option(help: "The claim that names the owner; sub (environment: DREAMFARM_OIDC_OWNER_CLAIM).")
    var oidcOwnerClaim: String?

    @Option(
        help: """
            The claim that gives the role, as realm_access.roles; roles when left out (environment: \
            DREAMFARM_OIDC_ROLE_CLAIM).
            """
    )
    var oidcRoleClaim: String?

    @Option(
        help: """
            What its values give: farm-admins=admin,artists=submitter (environment: \
            DREAMFARM_OIDC_ROLES).
            """
    )
    var oidcRoles: String?

    @Option(
        help: """
            What its tokens may be signed with; RS256,ES256,EdDSA when left out (environment: \
            DREAMFARM_OIDC_ALGORITHMS).
            """
    )
    var oidcAlgorithms: String?

    @Option(
        help: """
            The authority that signed the certificate of the keys' address, PEM; the system's when \
            left out (environment: DREAMFARM_OIDC_CA).
            """
    )
    var oidcCA: String?

    /// What the command line says, by the setting's name.
    var flags: [String: String?] {
        [
            "oidc-issuer": oidcIssuer, "oidc-audience": oidcAudience, "oidc-keys": oidcKeys,
            "oidc-owner-claim": oidcOwnerClaim, "oidc-role-claim": oidcRoleClaim,
            "oidc-roles": oidcRoles, "oidc-algorithms": oidcAlgorithms, "oidc-ca": oidcCA,
        ]
    }
}
