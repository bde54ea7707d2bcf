-- Row-level security stands on every table from the first one on. The application role sees the rows of the one
-- namespace that its transaction names with SET LOCAL weighbridge.namespace; unset means none. The log role, which the
-- sequencer, projections and job workers take with SET LOCAL ROLE, sees all namespaces. Neither owns anything.

CREATE DOMAIN weighbridge.namespace_name AS text
  CHECK (VALUE ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$');
CREATE DOMAIN weighbridge.sha256 AS bytea CHECK (octet_length(VALUE) = 32);

-- The namespace of this transaction, null where none is set.
CREATE FUNCTION weighbridge.current_namespace() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
  RETURN nullif(current_setting('weighbridge.namespace', true), '');

-- Confines a table with a column "namespace": own rows only.
CREATE FUNCTION weighbridge.confine(target regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
  EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
  EXECUTE format('CREATE POLICY own_namespace ON %s TO weighbridge_app
    USING (namespace = weighbridge.current_namespace())
    WITH CHECK (namespace = weighbridge.current_namespace())', target);
  EXECUTE format('CREATE POLICY every_namespace ON %s TO weighbridge_log USING (true) WITH CHECK (true)', target);
END $$;

-- Confines a table of history: own rows and the shared ones (namespace system), read only.
CREATE FUNCTION weighbridge.confine_history(target regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
  EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
  EXECUTE format('CREATE POLICY own_and_shared ON %s FOR SELECT TO weighbridge_app
    USING (namespace = ANY (ARRAY[weighbridge.current_namespace(),
      CASE WHEN weighbridge.current_namespace() IS NOT NULL THEN ''system'' END]))', target);
  EXECUTE format('CREATE POLICY every_namespace ON %s TO weighbridge_log USING (true) WITH CHECK (true)', target);
  EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %s
    FOR EACH STATEMENT EXECUTE FUNCTION weighbridge.refuse_change()', target);
END $$;

CREATE FUNCTION weighbridge.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'table % is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION weighbridge.now_ms() RETURNS bigint LANGUAGE sql VOLATILE
  RETURN (extract(epoch FROM clock_timestamp()) * 1000)::bigint;

CREATE TABLE weighbridge.namespace (
  namespace weighbridge.namespace_name PRIMARY KEY,
  default_environment text NOT NULL CHECK (default_environment IN ('development', 'staging', 'production')),
  created_at_ms bigint NOT NULL DEFAULT weighbridge.now_ms()
);
SELECT weighbridge.confine('weighbridge.namespace');
GRANT SELECT, INSERT, UPDATE (default_environment) ON weighbridge.namespace TO weighbridge_app;
GRANT SELECT, INSERT ON weighbridge.namespace TO weighbridge_log;

-- The ledger. log_index is the order; an envelope may stand once in every namespace.
CREATE TABLE weighbridge.log_entry (
  log_index bigint PRIMARY KEY CHECK (log_index >= 0),
  namespace weighbridge.namespace_name NOT NULL,
  leaf bytea NOT NULL CHECK (octet_length(leaf) = 65),
  envelope_digest weighbridge.sha256 NOT NULL,
  predicate_type text NOT NULL,
  envelope bytea NOT NULL,
  UNIQUE (namespace, envelope_digest)
);
ALTER TABLE weighbridge.log_entry ALTER COLUMN envelope SET STORAGE EXTERNAL;
CREATE INDEX log_entry_envelope ON weighbridge.log_entry (envelope_digest);
SELECT weighbridge.confine_history('weighbridge.log_entry');
GRANT SELECT ON weighbridge.log_entry TO weighbridge_app;
GRANT SELECT, INSERT ON weighbridge.log_entry TO weighbridge_log;

CREATE TABLE weighbridge.log_subject (
  namespace weighbridge.namespace_name NOT NULL,
  subject weighbridge.sha256 NOT NULL,
  log_index bigint NOT NULL,
  PRIMARY KEY (namespace, subject, log_index)
);
SELECT weighbridge.confine_history('weighbridge.log_subject');
GRANT SELECT ON weighbridge.log_subject TO weighbridge_app;
GRANT SELECT, INSERT ON weighbridge.log_subject TO weighbridge_log;

-- One row: the public head of the log. It names no namespace and everybody may read it.
CREATE TABLE weighbridge.log_head (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  size bigint NOT NULL CHECK (size >= 0),
  root_hash text NOT NULL,
  checkpoint text NOT NULL,
  signed_at_ms bigint NOT NULL,
  frontier bytea NOT NULL CHECK (octet_length(frontier) % 32 = 0)
);
ALTER TABLE weighbridge.log_head ENABLE ROW LEVEL SECURITY;
ALTER TABLE weighbridge.log_head FORCE ROW LEVEL SECURITY;
CREATE POLICY public_head ON weighbridge.log_head FOR SELECT TO weighbridge_app USING (true);
CREATE POLICY sequencer ON weighbridge.log_head TO weighbridge_log USING (true) WITH CHECK (true);
GRANT SELECT ON weighbridge.log_head TO weighbridge_app;
GRANT SELECT, INSERT, UPDATE ON weighbridge.log_head TO weighbridge_log;

CREATE FUNCTION weighbridge.refuse_shrinking() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.size < OLD.size OR (NEW.size = OLD.size AND NEW.root_hash <> OLD.root_hash) THEN
    RAISE EXCEPTION 'the log cannot go from size % to size %', OLD.size, NEW.size USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER grows_only BEFORE UPDATE ON weighbridge.log_head
  FOR EACH ROW EXECUTE FUNCTION weighbridge.refuse_shrinking();

CREATE TABLE weighbridge.blob_link (
  namespace weighbridge.namespace_name NOT NULL,
  digest weighbridge.sha256 NOT NULL,
  size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
  linked_at_ms bigint NOT NULL DEFAULT weighbridge.now_ms(),
  PRIMARY KEY (namespace, digest)
);
SELECT weighbridge.confine('weighbridge.blob_link');
GRANT SELECT, INSERT ON weighbridge.blob_link TO weighbridge_app;
GRANT SELECT, DELETE ON weighbridge.blob_link TO weighbridge_log;

-- files: [[path, sha256 hex, size in bytes, git object id, lfs 0|1], …] in code-point order of path.
CREATE TABLE weighbridge.snapshot (
  namespace weighbridge.namespace_name NOT NULL,
  repository_type text NOT NULL CHECK (repository_type IN ('models', 'datasets', 'spaces')),
  repository text NOT NULL,
  commit_id text NOT NULL CHECK (commit_id ~ '^[0-9a-f]{40}$'),
  artifact weighbridge.sha256 NOT NULL,
  provisional boolean NOT NULL,
  files json NOT NULL,
  snapshot_id bigint GENERATED ALWAYS AS IDENTITY,
  saved_at_ms bigint NOT NULL DEFAULT weighbridge.now_ms(),
  PRIMARY KEY (namespace, repository_type, repository, commit_id)
);
CREATE INDEX snapshot_artifact ON weighbridge.snapshot (namespace, artifact);
CREATE INDEX snapshot_newest ON weighbridge.snapshot (namespace, snapshot_id DESC);
SELECT weighbridge.confine('weighbridge.snapshot');
GRANT SELECT, INSERT, UPDATE (artifact, provisional, files) ON weighbridge.snapshot TO weighbridge_app;
GRANT SELECT ON weighbridge.snapshot TO weighbridge_log;

CREATE TABLE weighbridge.reference (
  namespace weighbridge.namespace_name NOT NULL,
  repository_type text NOT NULL CHECK (repository_type IN ('models', 'datasets', 'spaces')),
  repository text NOT NULL,
  name text NOT NULL,
  commit_id text NOT NULL CHECK (commit_id ~ '^[0-9a-f]{40}$'),
  checked_at_ms bigint NOT NULL,
  PRIMARY KEY (namespace, repository_type, repository, name)
);
CREATE INDEX reference_commit ON weighbridge.reference (namespace, repository_type, repository, commit_id);
SELECT weighbridge.confine('weighbridge.reference');
GRANT SELECT, INSERT, UPDATE (commit_id, checked_at_ms), DELETE ON weighbridge.reference TO weighbridge_app;
GRANT SELECT ON weighbridge.reference TO weighbridge_log;

-- Decisions as they were taken; the newest of a question is the one in force. decision holds the exact bytes.
CREATE TABLE weighbridge.decision (
  namespace weighbridge.namespace_name NOT NULL,
  question_digest weighbridge.sha256 NOT NULL,
  log_index bigint NOT NULL,
  artifact weighbridge.sha256 NOT NULL,
  verdict text NOT NULL CHECK (verdict IN ('allow', 'warn', 'deny')),
  valid_until_ms bigint,
  envelope_digest weighbridge.sha256 NOT NULL,
  decision bytea NOT NULL,
  PRIMARY KEY (namespace, question_digest, log_index)
);
CREATE INDEX decision_artifact ON weighbridge.decision (namespace, artifact, question_digest, log_index DESC);
CREATE INDEX decision_recent ON weighbridge.decision (namespace, log_index DESC);
CREATE INDEX decision_expiry ON weighbridge.decision (valid_until_ms) WHERE valid_until_ms IS NOT NULL;
SELECT weighbridge.confine('weighbridge.decision');
GRANT SELECT, INSERT ON weighbridge.decision TO weighbridge_app;
GRANT SELECT ON weighbridge.decision TO weighbridge_log;

-- Only the SHA-256 of a token is kept.
CREATE TABLE weighbridge.token (
  namespace weighbridge.namespace_name NOT NULL,
  token_digest weighbridge.sha256 NOT NULL,
  name text NOT NULL,
  role text NOT NULL,
  environment text CHECK (environment IN ('development', 'staging', 'production')),
  created_at_ms bigint NOT NULL DEFAULT weighbridge.now_ms(),
  expires_at_ms bigint,
  revoked_at_ms bigint,
  PRIMARY KEY (namespace, token_digest)
);
CREATE INDEX token_digest ON weighbridge.token (token_digest);
SELECT weighbridge.confine('weighbridge.token');
GRANT SELECT, INSERT, UPDATE (revoked_at_ms) ON weighbridge.token TO weighbridge_app;
GRANT SELECT ON weighbridge.token TO weighbridge_log;

-- Signed statements name the pseudonym; deleting the row forgets who it was.
CREATE TABLE weighbridge.person (
  namespace weighbridge.namespace_name NOT NULL,
  person text NOT NULL,
  claim text NOT NULL,
  display_name text NOT NULL,
  created_at_ms bigint NOT NULL DEFAULT weighbridge.now_ms(),
  PRIMARY KEY (namespace, person),
  UNIQUE (namespace, claim)
);
SELECT weighbridge.confine('weighbridge.person');
GRANT SELECT, INSERT, UPDATE (display_name), DELETE ON weighbridge.person TO weighbridge_app;

CREATE TABLE weighbridge.repository_setting (
  namespace weighbridge.namespace_name NOT NULL,
  repository_type text NOT NULL CHECK (repository_type IN ('models', 'datasets', 'spaces')),
  repository text NOT NULL,
  tier text NOT NULL CHECK (tier IN ('low', 'medium', 'high')),
  PRIMARY KEY (namespace, repository_type, repository)
);
SELECT weighbridge.confine('weighbridge.repository_setting');
GRANT SELECT, INSERT, UPDATE (tier), DELETE ON weighbridge.repository_setting TO weighbridge_app;
GRANT SELECT ON weighbridge.repository_setting TO weighbridge_log;

CREATE TABLE weighbridge.job (
  namespace weighbridge.namespace_name NOT NULL,
  job_id uuid NOT NULL DEFAULT gen_random_uuid(),
  queue text NOT NULL,
  job_key text NOT NULL,
  payload json NOT NULL,
  state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'dead')),
  run_at_ms bigint NOT NULL,
  attempts integer NOT NULL DEFAULT 0,
  max_attempts integer NOT NULL CHECK (max_attempts > 0),
  lease uuid,
  lease_until_ms bigint,
  last_error text,
  created_at_ms bigint NOT NULL DEFAULT weighbridge.now_ms(),
  finished_at_ms bigint,
  PRIMARY KEY (namespace, job_id),
  CHECK ((state = 'running') = (lease IS NOT NULL)),
  CHECK ((lease IS NULL) = (lease_until_ms IS NULL))
);
-- One open job per key: enqueueing it again is a no-op until it is done or dead.
CREATE UNIQUE INDEX job_open ON weighbridge.job (namespace, queue, job_key) WHERE state IN ('waiting', 'running');
CREATE INDEX job_next ON weighbridge.job (queue, run_at_ms) WHERE state = 'waiting';
CREATE INDEX job_lease ON weighbridge.job (lease_until_ms) WHERE state = 'running';
CREATE INDEX job_finished ON weighbridge.job (finished_at_ms) WHERE state IN ('done', 'dead');
SELECT weighbridge.confine('weighbridge.job');
GRANT SELECT, INSERT ON weighbridge.job TO weighbridge_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON weighbridge.job TO weighbridge_log;
