CREATE TABLE IF NOT EXISTS abide_sessions (
  id            text COLLATE "C" PRIMARY KEY,
  kind          bigint NOT NULL,
  created       bigint NOT NULL,
  seen          bigint NOT NULL,
  idle_timeout  bigint NOT NULL,
  idle_stamp    bigint NOT NULL,
  hard_deadline bigint NOT NULL,
  cleared       bigint NOT NULL,
  stamp         bigint NOT NULL,
  subject       bytea,
  subject_stamp bigint NOT NULL,
  field_count   bigint NOT NULL,
  field_bytes   bigint NOT NULL,
  moved_to      text COLLATE "C",
  moved_until   bigint,
  check_at      bigint NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX IF NOT EXISTS abide_sessions_due ON abide_sessions (check_at);
CREATE INDEX IF NOT EXISTS abide_sessions_subject ON abide_sessions (subject, subject_stamp) WHERE subject IS NOT NULL;
CREATE TABLE IF NOT EXISTS abide_fields (
  id    text COLLATE "C" NOT NULL,
  name  bytea NOT NULL,
  stamp bigint NOT NULL,
  value bytea NOT NULL,
  PRIMARY KEY (id, name)
) WITH (fillfactor = 80);
CREATE TABLE IF NOT EXISTS abide_subjects (
  subject        bytea PRIMARY KEY,
  revoked_before bigint NOT NULL,
  check_at       bigint NOT NULL
);
CREATE INDEX IF NOT EXISTS abide_subjects_due ON abide_subjects (check_at);
CREATE TABLE IF NOT EXISTS abide_schema (
  version bigint NOT NULL PRIMARY KEY
);
INSERT INTO abide_schema (version) VALUES (1);
