package import FarmModel
import HTTPTransport

extension CoordinatorClient {
    /// A model with its files.
    package func model(_ name: String) async throws -> ModelView {
        try await call("GET", "/v1/models/\(URLText.encode(name))")
    }
}
