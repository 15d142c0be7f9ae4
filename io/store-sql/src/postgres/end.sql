WITH locked AS MATERIALIZED (
  SELECT s.*, (SELECT r.revoked_before FROM abide_subjects r WHERE r.subject = s.subject) AS revoked_before
  FROM abide_sessions s WHERE s.id = $1 FOR UPDATE
),
verdict AS MATERIALIZED (
  SELECT
    CASE
      WHEN l.kind IN (1, 2) THEN 2
      WHEN l.kind <> 0 OR l.subject_stamp <= coalesce(l.revoked_before, -1) THEN 1
      WHEN l.stamp <> (SELECT s.stamp FROM abide_sessions s WHERE s.id = $1) THEN 4
      -- Expired by this clock, and ended for those that are behind.
      WHEN least(l.seen + l.idle_timeout, l.hard_deadline) <= $2 THEN 7
      ELSE 0
    END AS code,
    greatest($3, l.stamp + 1) AS next, l.kind, l.moved_to, l.moved_until
  FROM locked l
),
ended AS (
  UPDATE abide_sessions s
  SET kind = 3, stamp = v.next, subject = NULL, field_count = 0, field_bytes = 0
  FROM verdict v WHERE s.id = $1 AND v.code IN (0, 7)
),
removed AS (
  DELETE FROM abide_fields f USING verdict v WHERE v.code IN (0, 7) AND f.id = $1
)
SELECT v.code::bigint, v.next, v.kind, v.moved_to, v.moved_until, NULL::bytea[] FROM verdict v
