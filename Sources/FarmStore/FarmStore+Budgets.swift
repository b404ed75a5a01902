package import FarmModel
import Postgres

/// A budget of which much is used.
package struct BudgetNotice: Sendable, Hashable {
    package let owner: String
    package let budget: ComputeBudget
    package let usedSeconds: Double
    /// The part that was passed, in percent: 80 or 100.
    package let percent: Int
}

extension FarmStore {
    /// At which parts of a budget it is told, in percent.
    package static let budgetMarks = [80, 100]

    /// The hours of a period, as SQL.
    private static let periodHours: String = {
        let cases = BudgetPeriod.allCases.map { "WHEN '\($0.rawValue)' THEN \($0.hours)" }
        return """
            (CASE coalesce(account.budget_period, '\(BudgetPeriod.month.rawValue)') \
            \(cases.joined(separator: " ")) END)
            """
    }()

    /// Seconds of workers that an account's owner used in its period, as SQL: by hours, whole ones, then
    /// what has ended since those were counted, and what runs.
    static let computeUsed = """
        (coalesce((SELECT sum(seconds) FROM account_compute
            WHERE account_compute.owner = account.owner
                AND account_compute.hour > now() - make_interval(hours => 1 + \(periodHours))), 0)
        + greatest(0, coalesce((SELECT sum(compute_seconds) FROM account_usage
            WHERE account_usage.owner = account.owner), 0) - account.compute_settled)
        + coalesce((SELECT sum(ranks * greatest(0,
                extract(epoch FROM now() - begun_at)::double precision)) FROM lease
            WHERE lease.owner = account.owner), 0))
        """

    /// Counts what owners used, and tells of budgets of which much is used: once for each part of them in
    /// a period.
    ///
    /// One coordinator at a time does it. No claim and no end of an attempt waits for it: these write sums
    /// of which it reads the growth.
    package func countCompute() async throws -> [BudgetNotice] {
        try await pool.execute(
            """
            WITH grown AS MATERIALIZED (
                SELECT account.owner, settled.seconds,
                    settled.seconds - account.compute_settled AS more
                FROM account JOIN (
                    SELECT owner, sum(compute_seconds) AS seconds FROM account_usage GROUP BY owner
                ) AS settled ON settled.owner = account.owner
                WHERE settled.seconds > account.compute_settled
            ), noted AS (
                UPDATE account SET compute_settled = grown.seconds FROM grown
                WHERE account.owner = grown.owner
            )
            INSERT INTO account_compute (owner, hour, seconds)
            SELECT owner, date_trunc('hour', now()), more FROM grown
            ON CONFLICT (owner, hour) DO UPDATE
                SET seconds = account_compute.seconds + excluded.seconds
            """
        )
        try await pool.execute(
            "DELETE FROM account_compute WHERE hour < now() - interval '32 days'"
        )
        try await pool.execute(
            """
            UPDATE account SET compute_seconds = used.seconds
            FROM (
                SELECT owner, \(raw: Self.computeUsed) AS seconds FROM account
                WHERE budget_seconds IS NOT NULL
            ) AS used
            WHERE account.owner = used.owner AND account.compute_seconds <> used.seconds
            """
        )
        return try await noteBudgets()
    }

    /// Writes down which budgets are passed and were not told to be.
    private func noteBudgets() async throws -> [BudgetNotice] {
        try await withRetriedTransaction { connection in
            let rows = try await connection.query(
                """
                UPDATE account SET budget_told = passed.mark, budget_told_at = now()
                FROM (
                    SELECT account.owner, max(mark.percent) AS mark
                    FROM account CROSS JOIN unnest(\(Self.budgetMarks)::integer[]) AS mark (percent)
                    WHERE account.budget_seconds IS NOT NULL
                        AND account.compute_seconds >= account.budget_seconds * mark.percent / 100
                        AND (mark.percent > account.budget_told OR account.budget_told_at IS NULL
                            OR account.budget_told_at
                                < now() - make_interval(hours => \(raw: Self.periodHours)))
                    GROUP BY account.owner
                ) AS passed
                WHERE account.owner = passed.owner
                RETURNING account.owner, account.budget_told, account.compute_seconds,
                    \(raw: AccountQuotas.columns)
                """
            )
            var notices: [BudgetNotice] = []
            for row in rows {
                guard let budget = try AccountQuotas(row).budget else { continue }
                let notice = BudgetNotice(
                    owner: try row.decode("owner"),
                    budget: budget,
                    usedSeconds: try row.decode("compute_seconds"),
                    percent: try row.decode("budget_told")
                )
                notices.append(notice)
                try await Self.recordAudit(
                    "budget.passed",
                    notice.owner,
                    by: "farm",
                    [
                        "percent": String(notice.percent),
                        "used_seconds": String(Int(notice.usedSeconds)),
                        "budget_seconds": String(Int(budget.seconds)),
                        "action": budget.action.rawValue,
                    ],
                    on: connection
                )
            }
            return notices
        }
    }
}
