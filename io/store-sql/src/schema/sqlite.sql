CREATE TABLE IF NOT EXISTS abide_sessions (
  id            TEXT NOT NULL PRIMARY KEY,
  kind          INTEGER NOT NULL,
  created       INTEGER NOT NULL,
  seen          INTEGER NOT NULL,
  idle_timeout  INTEGER NOT NULL,
  idle_stamp    INTEGER NOT NULL,
  hard_deadline INTEGER NOT NULL,
  cleared       INTEGER NOT NULL,
  stamp         INTEGER NOT NULL,
  subject       BLOB,
  subject_stamp INTEGER NOT NULL,
  field_count   INTEGER NOT NULL,
  field_bytes   INTEGER NOT NULL,
  moved_to      TEXT,
  moved_until   INTEGER,
  check_at      INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS abide_sessions_due ON abide_sessions (check_at);
CREATE INDEX IF NOT EXISTS abide_sessions_subject ON abide_sessions (subject, subject_stamp) WHERE subject IS NOT NULL;
CREATE TABLE IF NOT EXISTS abide_fields (
  id    TEXT NOT NULL,
  name  BLOB NOT NULL,
  stamp INTEGER NOT NULL,
  value BLOB NOT NULL,
  PRIMARY KEY (id, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS abide_subjects (
  subject        BLOB NOT NULL PRIMARY KEY,
  revoked_before INTEGER NOT NULL,
  check_at       INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS abide_subjects_due ON abide_subjects (check_at);
CREATE TABLE IF NOT EXISTS abide_schema (
  version INTEGER NOT NULL PRIMARY KEY
);
INSERT INTO abide_schema (version) VALUES (1);
