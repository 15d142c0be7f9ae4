WITH locked AS MATERIALIZED (
  SELECT s.*, (SELECT r.revoked_before FROM abide_subjects r WHERE r.subject = s.subject) AS revoked_before
  FROM abide_sessions s WHERE s.id = $1 FOR UPDATE
),
unmet AS MATERIALIZED (
  SELECT e.name
  FROM unnest($2::bytea[], $3::bigint[]) AS e (name, stamp)
  LEFT JOIN abide_fields f ON f.id = $1 AND f.name = e.name
  WHERE coalesce(f.stamp, 0) <> e.stamp
),
replaced AS MATERIALIZED (
  SELECT count(*) AS fields, coalesce(sum(96 + octet_length(f.name) + octet_length(f.value)), 0) AS bytes
  FROM unnest($4::bytea[] || $6::bytea[]) AS t (name)
  JOIN abide_fields f ON f.id = $1 AND f.name = t.name
),
verdict AS MATERIALIZED (
  SELECT
    CASE
      WHEN l.kind IN (1, 2) THEN 2
      WHEN l.kind <> 0 OR l.subject_stamp <= coalesce(l.revoked_before, -1)
        OR least(l.seen + l.idle_timeout, l.hard_deadline) <= $7 THEN 1
      WHEN l.stamp <> (SELECT s.stamp FROM abide_sessions s WHERE s.id = $1) THEN 4
      WHEN EXISTS (SELECT FROM unmet) THEN 3
      WHEN l.field_count - r.fields + $8 > $12 THEN 5
      WHEN 160 + coalesce(octet_length(l.subject), 0) + l.field_bytes - r.bytes + $9 > $13 THEN 6
      ELSE 0
    END AS code,
    greatest($10, l.stamp + 1) AS next,
    l.field_count - r.fields + $8 AS field_count,
    l.field_bytes - r.bytes + $9 AS field_bytes,
    l.kind, l.moved_to, l.moved_until
  FROM locked l, replaced r
),
written AS (
  UPDATE abide_sessions s
  SET stamp = v.next,
    seen = greatest(s.seen, $11),
    idle_timeout = coalesce($14, s.idle_timeout),
    idle_stamp = CASE WHEN $14 IS NULL THEN s.idle_stamp ELSE v.next END,
    hard_deadline = greatest(s.hard_deadline, $15),
    field_count = v.field_count,
    field_bytes = v.field_bytes
  FROM verdict v
  WHERE s.id = $1 AND v.code = 0
),
put AS (
  INSERT INTO abide_fields (id, name, stamp, value)
  SELECT $1, p.name, v.next, p.value
  FROM verdict v, unnest($4::bytea[], $5::bytea[]) AS p (name, value)
  WHERE v.code = 0
  ON CONFLICT (id, name) DO UPDATE SET stamp = excluded.stamp, value = excluded.value
),
removed AS (
  DELETE FROM abide_fields f USING verdict v
  WHERE v.code = 0 AND f.id = $1 AND f.name = ANY ($6::bytea[])
)
SELECT v.code::bigint, v.next, v.kind, v.moved_to, v.moved_until,
  CASE WHEN v.code = 3 THEN (SELECT array_agg(u.name) FROM unmet u) END
FROM verdict v
