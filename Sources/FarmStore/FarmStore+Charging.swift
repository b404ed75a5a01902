extension FarmStore {
    /// An SQL expression: the seconds of workers that a lease has used which ends now; as many a second as
    /// the task has ranks.
    ///
    /// - Parameter busy: An expression for the seconds that its worker told, which count where no heartbeat
    ///   has said that it began.
    /// - Returns: The expression.
    static func workerSeconds(orBusy busy: String) -> String {
        """
        ranks * greatest(0, least(extract(epoch FROM now() - claimed_at)::double precision,
            coalesce(extract(epoch FROM now() - begun_at)::double precision, \(busy), 0)))
        """
    }

    /// A statement's step that adds to the owners' use what the leases cost that the step `ended` gave.
    ///
    /// An owner's use stands in several rows, so that those who end leases at one time do not wait for each
    /// other.
    ///
    /// - Parameters:
    ///   - charge: An expression for what a lease is charged, in floating point operations.
    ///   - seconds: One for the seconds of workers that it used.
    ///   - condition: What has to hold besides.
    /// - Returns: The step, without its name.
    func charging(_ charge: String, _ seconds: String, where condition: String = "true") -> String {
        """
        INSERT INTO account_usage (owner, slot, charge, compute_seconds)
        SELECT owner, pg_backend_pid() % 16, sum(\(charge)), sum(\(seconds))
        FROM ended WHERE \(condition) GROUP BY owner ORDER BY owner
        ON CONFLICT (owner, slot) DO UPDATE SET charged_at = now(),
            compute_seconds = account_usage.compute_seconds + excluded.compute_seconds,
            charge = excluded.charge + account_usage.charge * power(0.5, least(1000,
                greatest(0, extract(epoch FROM now() - account_usage.charged_at))
                    / \(configuration.chargeHalfLife.inSeconds)::double precision))
        """
    }
}
