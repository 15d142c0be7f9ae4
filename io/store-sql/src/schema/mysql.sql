CREATE TABLE IF NOT EXISTS abide_sessions (
  id            char(30) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  kind          bigint NOT NULL,
  created       bigint NOT NULL,
  seen          bigint NOT NULL,
  idle_timeout  bigint NOT NULL,
  idle_stamp    bigint NOT NULL,
  hard_deadline bigint NOT NULL,
  cleared       bigint NOT NULL,
  stamp         bigint NOT NULL,
  subject       varbinary(255),
  subject_stamp bigint NOT NULL,
  field_count   bigint NOT NULL,
  field_bytes   bigint NOT NULL,
  moved_to      char(30) CHARACTER SET ascii COLLATE ascii_bin,
  moved_until   bigint,
  check_at      bigint NOT NULL,
  KEY abide_sessions_due (check_at),
  KEY abide_sessions_subject (subject, subject_stamp)
) ENGINE = InnoDB;
CREATE TABLE IF NOT EXISTS abide_fields (
  id    char(30) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  name  varbinary(128) NOT NULL,
  stamp bigint NOT NULL,
  value longblob NOT NULL,
  PRIMARY KEY (id, name)
) ENGINE = InnoDB;
CREATE TABLE IF NOT EXISTS abide_subjects (
  subject        varbinary(255) NOT NULL PRIMARY KEY,
  revoked_before bigint NOT NULL,
  check_at       bigint NOT NULL,
  KEY abide_subjects_due (check_at)
) ENGINE = InnoDB;
CREATE TABLE IF NOT EXISTS abide_schema (
  version bigint NOT NULL PRIMARY KEY
) ENGINE = InnoDB;
INSERT INTO abide_schema (version) VALUES (1);
