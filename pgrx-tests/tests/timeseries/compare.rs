//! What the extension says of a series, beside what a plain query says.

use anyhow::{Result, ensure};
use postgres::GenericClient;
use postgres::types::ToSql;

use crate::METRIC;
use crate::plan::{Bucket, Range, Start};

/// Each difference between `found` and `expected` as text.
const DIFFERENCES: &str = "SELECT format('%s: found %s, expected %s', start, f.figures, e.figures)
    FROM found f FULL JOIN expected e USING (start)
    WHERE is_same(f.figures, e.figures, coalesce(e.size, 0)) IS NOT TRUE
    ORDER BY start";
const COLUMNS: &str = "count bigint, sum numeric, avg numeric, min numeric, max numeric, std_dev numeric,
    first_value numeric, last_value numeric";
const ROW: &str = "(count, sum, avg, min, max, std_dev, first_value, last_value)::figures AS figures";

/// Totals and buckets; the totals as if they were one bucket.
pub fn ensure_aggregate(
    client: &mut impl GenericClient,
    camera: &str,
    level: &str,
    range: &Range,
) -> Result<()> {
    let statement = format!(
        "WITH answer AS MATERIALIZED (
             SELECT camcount.aggregate_timeseries_data($1, '{METRIC}', '{level}', $2, $3) AS answer
         ), found AS (
             SELECT start, {ROW}
             FROM answer CROSS JOIN jsonb_to_recordset(answer -> 'buckets') AS (start timestamptz, {COLUMNS})
             UNION ALL
             SELECT timestamptz '-infinity', {ROW}
             FROM answer CROSS JOIN jsonb_to_record(answer) AS ({COLUMNS})
             WHERE count > 0
         ), expected AS (
             SELECT *, NULL::numeric AS size FROM plain($1, $2, $3, 'date_trunc(''{level}'', at, zone)')
             UNION ALL
             SELECT *, NULL FROM plain($1, $2, $3, 'timestamptz ''-infinity''')
         ) {DIFFERENCES}"
    );
    ensure_no(client, &statement, &[&camera, &range.from, &range.to])
}

pub fn ensure_buckets(
    client: &mut impl GenericClient,
    camera: &str,
    bucket: &Bucket,
    fill: &str,
    range: &Range,
) -> Result<()> {
    let Bucket { length, step, .. } = bucket;
    let start = start(bucket).replace('\'', "''");
    let statement = format!(
        "WITH found AS (
             SELECT bucket_start AS start, (count_values, sum_value, avg_value, min_value, max_value, std_dev_value,
                                            first_value, last_value)::figures AS figures
             FROM camcount.timeseries_buckets($1, '{METRIC}', '{length}', $2, $3, '{fill}')
         ), expected AS (
             SELECT * FROM plain_filled($1, $2, $3, '{start}', '{step}', '{fill}')
         ) {DIFFERENCES}"
    );
    ensure_no(client, &statement, &[&camera, &range.from, &range.to])
}

/// In plain SQL: days and longer begin at midnight, what is shorter is counted from there.
fn start(bucket: &Bucket) -> String {
    let length = bucket.length;
    match bucket.start {
        Start::OfDay => format!("date_bin('{length}', at, date_trunc('day', at, zone))"),
        Start::Days => {
            format!("date_bin('{length}', at AT TIME ZONE zone, '2001-01-01') AT TIME ZONE zone")
        }
        Start::Months(months) => format!(
            "(date_trunc('month', at AT TIME ZONE zone) - make_interval(months =>
                  ((extract(year FROM at AT TIME ZONE zone) - 2000) * 12
                   + extract(month FROM at AT TIME ZONE zone) - 1)::integer % {months})) AT TIME ZONE zone"
        ),
    }
}

/// The points as they were written, in the order of their times.
pub fn ensure_points(client: &mut impl GenericClient, camera: &str, range: &Range) -> Result<()> {
    let statement = format!(
        "WITH answer AS MATERIALIZED (
             SELECT row_number() OVER () AS row, *
             FROM camcount.timeseries_points($1, '{METRIC}', $2, $3)
         ), found AS (
             SELECT metric_timestamp, metric_value::text, metric_unit, metric_tags::text,
                    float8send(confidence_score), float8send(data_quality_score)
             FROM answer
         ), expected AS (
             SELECT at, value::text, unit, tags::text, float8send(confidence), float8send(quality)
             FROM points WHERE camera_id = $1 AND at >= $2 AND at < $3
         )
         SELECT 'lost: ' || lost FROM (TABLE expected EXCEPT ALL TABLE found) lost
         UNION ALL
         SELECT 'not written: ' || more FROM (TABLE found EXCEPT ALL TABLE expected) more
         UNION ALL
         SELECT 'out of order: ' || metric_timestamp
         FROM (SELECT metric_timestamp, lag(metric_timestamp) OVER (ORDER BY row) AS before FROM answer) rows
         WHERE metric_timestamp < before"
    );
    ensure_no(client, &statement, &[&camera, &range.from, &range.to])
}

/// Fails with the first rows of the statement where it has some.
fn ensure_no(
    client: &mut impl GenericClient,
    statement: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<()> {
    let rows = client.query(statement, parameters)?;
    let some = rows.iter().take(5).map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
    ensure!(rows.is_empty(), "{} differences, such as {some:#?}\nin {statement}", rows.len());
    Ok(())
}
