package import FarmModel
import FoundationEssentials
package import HTTPTransport

/// An identity provider whose tokens open the farm, as the settings name it.
package struct IdentityProvider: Sendable {
    /// The algorithms that a token may be signed with: asymmetric ones alone.
    package enum Algorithm: String, CaseIterable, Sendable {
        case rs256 = "RS256"
        case rs384 = "RS384"
        case rs512 = "RS512"
        case ps256 = "PS256"
        case ps384 = "PS384"
        case ps512 = "PS512"
        case es256 = "ES256"
        case es384 = "ES384"
        case es512 = "ES512"
        case eddsa = "EdDSA"
    }

    /// Where its keys are.
    package enum Keys: Hashable, Sendable {
        /// A JSON Web Key Set in a file, which is read again when it changes.
        case file(String)
        /// The same at an address, which is asked again from time to time.
        case address(String)
    }

    /// What begins the name of each owner that a provider vouches for.
    package static let ownerPrefix = "oidc:"

    /// What has to stand in a token as its issuer, to the letter.
    package var issuer: String
    /// For whom a token has to be.
    package var audience: String
    package var keys: Keys
    /// The claim with the owner's name.
    package var ownerClaim = "sub"
    /// The claim with what a role is made of; its parts between dots where it is inside of others.
    package var roleClaim = "roles"
    /// The role that a value of that claim gives.
    package var roles: [String: TokenRole] = [:]
    package var algorithms: Set<Algorithm> = [.rs256, .es256, .eddsa]
    /// By how much the clocks of provider and coordinator may differ, in seconds.
    package var leeway = 60.0
    /// Whom the address of the keys is believed from.
    package var tls = HTTPClientTLS()

    package init(issuer: String, audience: String, keys: Keys) {
        self.issuer = issuer
        self.audience = audience
        self.keys = keys
    }

    /// The owner that the provider calls so.
    ///
    /// The issuer stands in it: neither an owner of a token of the farm's own nor one of another
    /// provider has this name.
    func owner(_ name: String) -> String {
        let scheme = "https://"
        let place = issuer.hasPrefix(scheme) ? String(issuer.dropFirst(scheme.count)) : issuer
        return "\(Self.ownerPrefix)\(place):\(name)"
    }

    /// The highest role that values of the role's claim give; nil where none gives any.
    func role(_ values: [String]) -> TokenRole? {
        values.compactMap { roles[$0] }.max { $1.includes($0) && $0 != $1 }
    }
}

/// Why a token of an identity provider does not count.
package enum IdentityRefusal: String, Error, Hashable, Sendable {
    /// It is not a JSON Web Token that can be read.
    case malformed
    /// Its header asks for something that has to be understood and is not.
    case critical
    /// It is signed by none of the algorithms of the settings, or by another than its key's.
    case algorithm
    /// It names no key, or one that the provider does not have.
    case key
    /// Its signature is not of its key and content.
    case signature
    /// It is of another issuer.
    case issuer
    /// It is for another audience.
    case audience
    /// It is over, or does not say when it is.
    case expired
    /// Its time has not begun.
    case early
    /// It says no owner.
    case owner
    /// Nothing in it gives a role.
    case role
}
