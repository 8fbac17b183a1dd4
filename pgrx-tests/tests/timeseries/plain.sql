-- The same points once more, and what plain queries make of them.

CREATE TABLE points (
    camera_id text NOT NULL, batch bigint NOT NULL, at timestamptz NOT NULL, value numeric, unit text, tags jsonb,
    confidence double precision, quality double precision
);
CREATE INDEX ON points (camera_id, at);

CREATE TYPE figures AS (count bigint, sum numeric, avg numeric, min numeric, max numeric, std_dev numeric,
                        first_value numeric, last_value numeric);

-- The groups of values that begin at p_start, an expression.
CREATE FUNCTION plain(p_camera_id text, p_from timestamptz, p_to timestamptz, p_start text)
RETURNS TABLE (start timestamptz, figures figures)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT %s, (count(*), sum(value), avg(value), min(value), max(value), stddev_samp(value),
                     (array_agg(value ORDER BY at, value))[1],
                     (array_agg(value ORDER BY at DESC, value DESC))[1])::figures
         FROM points CROSS JOIN (SELECT time_zone FROM camcount.cameras WHERE camera_id = $1) cameras (zone)
         WHERE camera_id = $1 AND at >= $2 AND at < $3 AND value IS NOT NULL
         GROUP BY 1', p_start)
    USING p_camera_id, p_from, p_to;
END
$$;

-- The same and, where p_fill asks for them, groups without values: at least one of their times is found in steps of
-- p_step.
CREATE FUNCTION plain_filled(
    p_camera_id text, p_from timestamptz, p_to timestamptz, p_start text, p_step interval, p_fill text,
    OUT start timestamptz, OUT figures figures, OUT size numeric
) RETURNS SETOF record
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF p_fill = 'none' THEN
        RETURN QUERY SELECT p.*, NULL::numeric FROM plain(p_camera_id, p_from, p_to, p_start) p;
        RETURN;
    END IF;
    RETURN QUERY EXECUTE format(
        'WITH groups AS MATERIALIZED (
             SELECT start, (figures).* FROM plain($1, $2, $3, $5)
         ), grid AS (
             SELECT DISTINCT %s AS start
             FROM (SELECT generate_series($2, $3 - interval ''1 microsecond'', $4)
                   UNION SELECT $3 - interval ''1 microsecond'' WHERE $2 < $3) times (at)
             CROSS JOIN (SELECT time_zone FROM camcount.cameras WHERE camera_id = $1) cameras (zone)
         )
         SELECT grid.start,
                (coalesce(g.count, 0), g.sum,
                 CASE WHEN g.count > 0 THEN g.avg
                      WHEN $6 = ''previous'' THEN before.avg
                      WHEN $6 = ''linear'' THEN before.avg + (after.avg - before.avg)
                          * extract(epoch FROM grid.start - before.start) / extract(epoch FROM after.start - before.start)
                      END,
                 g.min, g.max, g.std_dev, g.first_value, g.last_value)::figures,
                greatest(abs(before.avg), abs(after.avg))
         FROM grid
         LEFT JOIN groups g USING (start)
         LEFT JOIN LATERAL (SELECT * FROM groups b WHERE b.start < grid.start
                            ORDER BY b.start DESC LIMIT 1) before ON true
         LEFT JOIN LATERAL (SELECT * FROM groups a WHERE a.start > grid.start
                            ORDER BY a.start LIMIT 1) after ON true', p_start)
    USING p_camera_id, p_from, p_to, p_step, p_start, p_fill;
END
$$;

CREATE FUNCTION is_close(a numeric, b numeric, p_size numeric) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN a IS NULL OR b IS NULL THEN a IS NULL AND b IS NULL
                ELSE abs(a - b) <= 1e-9 * greatest(abs(a), abs(b), p_size) END
$$;

-- Exact but for mean and deviation. p_size is that of the numbers that a mean was made of.
CREATE FUNCTION is_same(a figures, b figures, p_size numeric) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT ((a).count, (a).sum, (a).min, (a).max, (a).first_value, (a).last_value)
               IS NOT DISTINCT FROM ((b).count, (b).sum, (b).min, (b).max, (b).first_value, (b).last_value)
           AND is_close((a).avg, (b).avg, p_size) AND is_close((a).std_dev, (b).std_dev, 0)
$$;
