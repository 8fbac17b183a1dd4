-- $1 camera, $2 metric, $3 since, $4 until. What reaches into the stretch, and the block before it where it is small.
WITH candidates AS (
    SELECT tableoid, ctid, first_timestamp, last_timestamp, count_points
    FROM camcount.timeseries_blocks
    WHERE camera_id = $1 AND metric_name = $2
      AND first_timestamp >= pg_catalog.date_trunc('month', $3, 'UTC') AND first_timestamp < $4
), taken AS (
    DELETE FROM camcount.timeseries_blocks b
    USING (SELECT * FROM candidates WHERE last_timestamp >= $3
           UNION ALL
           (SELECT * FROM (SELECT * FROM candidates WHERE last_timestamp < $3
                           ORDER BY first_timestamp DESC LIMIT 1) previous
            WHERE count_points < 4096)) c
    WHERE b.tableoid = c.tableoid AND b.ctid = c.ctid
      AND b.first_timestamp >= pg_catalog.date_trunc('month', $3, 'UTC') AND b.first_timestamp < $4
    RETURNING b.points, b.first_timestamp, b.id
)
SELECT points FROM taken ORDER BY first_timestamp, id
