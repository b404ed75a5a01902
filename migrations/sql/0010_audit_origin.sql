-- oldest-binary: 0.2.0
--
-- The audit tells from where a change was asked for, and nothing is taken away from it.

ALTER TABLE audit ADD COLUMN origin text;

CREATE FUNCTION keep_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit is only added to';
END
$$;

CREATE TRIGGER audit_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION keep_audit();
