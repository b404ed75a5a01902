/// One numbered step of the database's schema.
package struct Migration: Sendable, Hashable {
    /// Its place in the order, from 1 without gaps.
    package let number: Int

    /// Its file's name without the ending, such as `0001_farm`.
    package let name: String

    /// The text of the file: statements that run in one transaction.
    package let sql: String

    package init(number: Int, name: String, sql: String) {
        self.number = number
        self.name = name
        self.sql = sql
    }

    /// The oldest release that works with the schema of this step, as the file's first line states
    /// it; empty when it states none.
    package var oldestBinary: String {
        let prefix = "-- oldest-binary: "
        guard let line = sql.split(separator: "\n").first, line.hasPrefix(prefix) else { return "" }
        return String(line.dropFirst(prefix.count))
    }
}

/// The schema's steps in their order.
///
/// A step that was released is never changed; the next one is added to this list and to `sql/`.
package enum Migrations {
    /// All steps, the oldest first.
    package static let all: [Migration] = [
        Migration(number: 1, name: "0001_farm", sql: text(PackageResources._001_farm_sql)),
        Migration(number: 2, name: "0002_queue", sql: text(PackageResources._002_queue_sql)),
        Migration(number: 3, name: "0003_costs", sql: text(PackageResources._003_costs_sql)),
        Migration(number: 4, name: "0004_chunks", sql: text(PackageResources._004_chunks_sql)),
        Migration(
            number: 5,
            name: "0005_first_jobs",
            sql: text(PackageResources._005_first_jobs_sql)
        ),
        Migration(
            number: 6,
            name: "0006_sizing_and_retries",
            sql: text(PackageResources._006_sizing_and_retries_sql)
        ),
        Migration(number: 7, name: "0007_groups", sql: text(PackageResources._007_groups_sql)),
        Migration(
            number: 8,
            name: "0008_blob_holders",
            sql: text(PackageResources._008_blob_holders_sql)
        ),
        Migration(
            number: 9,
            name: "0009_output_digests",
            sql: text(PackageResources._009_output_digests_sql)
        ),
        Migration(
            number: 10,
            name: "0010_audit_origin",
            sql: text(PackageResources._010_audit_origin_sql)
        ),
        Migration(
            number: 11,
            name: "0011_worker_credentials",
            sql: text(PackageResources._011_worker_credentials_sql)
        ),
        Migration(
            number: 12,
            name: "0012_preemption",
            sql: text(PackageResources._012_preemption_sql)
        ),
        Migration(
            number: 13,
            name: "0013_retention",
            sql: text(PackageResources._013_retention_sql)
        ),
        Migration(number: 14, name: "0014_quotas", sql: text(PackageResources._014_quotas_sql)),
        Migration(
            number: 15,
            name: "0015_picture_audits",
            sql: text(PackageResources._015_picture_audits_sql)
        ),
        Migration(
            number: 16,
            name: "0016_worker_clocks",
            sql: text(PackageResources._016_worker_clocks_sql)
        ),
        Migration(
            number: 17,
            name: "0017_attempts_of_workers",
            sql: text(PackageResources._017_attempts_of_workers_sql)
        ),
        Migration(number: 18, name: "0018_drafts", sql: text(PackageResources._018_drafts_sql)),
    ]

    private static func text(_ bytes: [UInt8]) -> String {
        String(decoding: bytes, as: UTF8.self)
    }
}
