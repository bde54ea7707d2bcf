-- Repository names that an intake took in a namespace. The upstream hub is never asked for them again. name_key is the
-- name in lower case: hubs do not tell `Org/Name` from `org/name`, so whoever takes one takes both.
CREATE TABLE weighbridge.origin (
  namespace weighbridge.namespace_name NOT NULL,
  repository_type text NOT NULL CHECK (repository_type IN ('models', 'datasets')),
  name_key text NOT NULL CHECK (name_key = lower(name_key)),
  repository text NOT NULL,
  taken_at_ms bigint NOT NULL DEFAULT weighbridge.now_ms(),
  PRIMARY KEY (namespace, repository_type, name_key)
);
SELECT weighbridge.confine('weighbridge.origin');
GRANT SELECT, INSERT ON weighbridge.origin TO weighbridge_app;
GRANT SELECT ON weighbridge.origin TO weighbridge_log;

-- The commits of a taken name, and where each came from. arrival is their order: the newest of a reference is what the
-- reference means. Only what stands here is a commit of a taken name, whatever else the catalog holds under it.
CREATE TABLE weighbridge.origin_commit (
  namespace weighbridge.namespace_name NOT NULL,
  repository_type text NOT NULL CHECK (repository_type IN ('models', 'datasets')),
  name_key text NOT NULL CHECK (name_key = lower(name_key)),
  commit_id text NOT NULL CHECK (commit_id ~ '^[0-9a-f]{40}$'),
  reference text NOT NULL,
  source_uri text NOT NULL,
  arrival bigint GENERATED ALWAYS AS IDENTITY,
  PRIMARY KEY (namespace, repository_type, name_key, commit_id, reference)
);
CREATE INDEX origin_commit_newest ON weighbridge.origin_commit
  (namespace, repository_type, name_key, reference, arrival DESC);
SELECT weighbridge.confine('weighbridge.origin_commit');
GRANT SELECT, INSERT, UPDATE (source_uri, arrival) ON weighbridge.origin_commit TO weighbridge_app;
GRANT SELECT ON weighbridge.origin_commit TO weighbridge_log;

-- One asked-for intake and how far it is. request is what the work needs (it may hold a signed URL) and is forgotten when
-- the work is finished; source is what people see.
CREATE TABLE weighbridge.intake (
  namespace weighbridge.namespace_name NOT NULL,
  intake_id uuid NOT NULL,
  state text NOT NULL CHECK (state IN ('uploading', 'waiting', 'running', 'done', 'failed')),
  source text NOT NULL,
  request json,
  repository_type text NOT NULL CHECK (repository_type IN ('models', 'datasets')),
  repository text NOT NULL,
  reference text NOT NULL,
  environment text NOT NULL CHECK (environment IN ('development', 'staging', 'production')),
  files_done bigint NOT NULL DEFAULT 0,
  bytes_done bigint NOT NULL DEFAULT 0,
  files_total bigint,
  bytes_total bigint,
  commit_id text CHECK (commit_id ~ '^[0-9a-f]{40}$'),
  artifact weighbridge.sha256,
  paths json,
  fault json,
  created_at_ms bigint NOT NULL DEFAULT weighbridge.now_ms(),
  finished_at_ms bigint,
  PRIMARY KEY (namespace, intake_id),
  CHECK ((state IN ('done', 'failed')) = (finished_at_ms IS NOT NULL))
);
CREATE INDEX intake_recent ON weighbridge.intake (namespace, created_at_ms DESC, intake_id);
SELECT weighbridge.confine('weighbridge.intake');
GRANT SELECT, INSERT, UPDATE (state, request, files_done, bytes_done, files_total, bytes_total, commit_id, artifact,
  paths, fault, finished_at_ms) ON weighbridge.intake TO weighbridge_app;
GRANT SELECT ON weighbridge.intake TO weighbridge_log;

-- Files that were uploaded for an intake; their bytes are in the blob store.
CREATE TABLE weighbridge.upload_file (
  namespace weighbridge.namespace_name NOT NULL,
  intake_id uuid NOT NULL,
  path text NOT NULL,
  digest weighbridge.sha256 NOT NULL,
  size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
  PRIMARY KEY (namespace, intake_id, path)
);
SELECT weighbridge.confine('weighbridge.upload_file');
GRANT SELECT, INSERT, UPDATE (digest, size_bytes), DELETE ON weighbridge.upload_file TO weighbridge_app;
GRANT SELECT ON weighbridge.upload_file TO weighbridge_log;
