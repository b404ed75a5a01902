import FarmModel
import NIOCore

/// A file of the web page, as it is served.
struct PageFile: Sendable {
    /// Its name under `/page/`.
    let name: String
    let type: String
    let body: ByteBuffer
    /// Its entity tag, which follows from its bytes.
    let tag: String

    private init(_ name: String, _ type: String, _ bytes: [UInt8]) {
        self.name = name
        self.type = type
        body = ByteBuffer(bytes: bytes)
        tag = "\"\(BlobDigest(bytes: bytes).rawValue.prefix(16))\""
    }

    private static let script = "text/javascript; charset=utf-8"
    private static let style = "text/css; charset=utf-8"

    /// What is served at `/`.
    static let index = PageFile(
        "index.html",
        "text/html; charset=utf-8",
        PackageResources.index_html
    )

    /// The files that it names, and those that they name; a further one is one line here.
    static let all: [PageFile] = [
        PageFile("api.js", script, PackageResources.api_js),
        PageFile("app.js", script, PackageResources.app_js),
        PageFile("base.js", script, PackageResources.base_js),
        PageFile("compare.js", script, PackageResources.compare_js),
        PageFile("drafts.js", script, PackageResources.drafts_js),
        PageFile("field.js", script, PackageResources.field_js),
        PageFile("fleet.js", script, PackageResources.fleet_js),
        PageFile("grid.js", script, PackageResources.grid_js),
        PageFile("icon.svg", "image/svg+xml", PackageResources.icon_svg),
        PageFile("job.js", script, PackageResources.job_js),
        PageFile("jobs.js", script, PackageResources.jobs_js),
        PageFile("keys.js", script, PackageResources.keys_js),
        PageFile("layout.css", style, PackageResources.layout_css),
        PageFile("live.js", script, PackageResources.live_js),
        PageFile("queue.js", script, PackageResources.queue_js),
        PageFile("references.js", script, PackageResources.references_js),
        PageFile("sheet.js", script, PackageResources.sheet_js),
        PageFile("space.js", script, PackageResources.space_js),
        PageFile("style.css", style, PackageResources.style_css),
        PageFile("submit.js", script, PackageResources.submit_js),
        PageFile("theme.js", script, PackageResources.theme_js),
        PageFile("upload.js", script, PackageResources.upload_js),
        PageFile("viewer.js", script, PackageResources.viewer_js),
        PageFile("views.css", style, PackageResources.views_css),
        PageFile("views.js", script, PackageResources.views_js),
        PageFile("worker.js", script, PackageResources.worker_js),
        PageFile("workers.js", script, PackageResources.workers_js),
    ]

    static let named = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })
}
