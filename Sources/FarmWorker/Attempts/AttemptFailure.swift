import FarmClient
import FarmModel
import Glibc
import HTTPTransport
import Imaging

extension RenderFailure {
    /// The failure that an error of an attempt is, told apart by what a person can do about it.
    init(describing error: any Error) {
        switch error {
        case let failure as RenderFailure: self = failure
        case let error as FarmClientError: self.init(refusal: error)
        case let error as HTTPTransportError: self.init(transport: error)
        case let error as AtomicFileError: self.init(file: error)
        default: self.init(.transient, "the attempt failed: \(error)")
        }
    }

    /// The same, of one image of the task.
    init(describing error: any Error, of image: ImageAssignment) {
        self.init(describing: error)
        self.image = image.index
    }

    private init(refusal error: FarmClientError) {
        if error.isNotFound {
            self.init(
                .transient,
                "a file of the job is not in the blob store: \(error); submit the job again "
                    + "if it stays away"
            )
        } else {
            self.init(.transient, "the coordinator refused: \(error)")
        }
    }

    private init(transport error: HTTPTransportError) {
        guard case .file(let path, let reason) = error else {
            self.init(.transient, "a transfer failed: \(error)")
            return
        }
        let full = [ENOSPC, EDQUOT].map { String(cString: strerror($0)) }
        if full.contains(where: reason.contains) {
            self = .diskFull(path)
        } else {
            self.init(.workersFault, "\(path): \(reason); check the worker's --data-dir")
        }
    }

    private init(file error: AtomicFileError) {
        if case .diskFull(let path) = error {
            self = .diskFull(path)
        } else {
            self.init(.workersFault, "\(error)")
        }
    }

    /// The worker's disk has no room now: another worker may have.
    static func diskFull(_ path: String) -> RenderFailure {
        RenderFailure(
            .resource,
            "\(path): the worker's disk is full; free space in its --data-dir or lower "
                + "--reference-cache and --condition-cache"
        )
    }
}
