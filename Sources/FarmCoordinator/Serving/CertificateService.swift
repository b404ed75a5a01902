import Logging
import ServiceLifecycle

/// Looks every few seconds whether the coordinator's certificate was renewed.
struct CertificateService: Service {
    let certificate: ServerCertificate
    var interval: Duration = .seconds(5)
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var complaint: String?
            while (try? await Task.sleep(for: interval)) != nil {
                do throws(CoordinatorError) {
                    if try certificate.renew() { logger.notice("Certificate renewed") }
                    complaint = nil
                } catch {
                    // Said once; the certificate before goes on to hold.
                    guard complaint != error.description else { continue }
                    complaint = error.description
                    logger.error("Certificate not renewed", metadata: ["error": "\(error)"])
                }
            }
        }
    }
}
