-- $1 rows as JSON.
UPDATE camcount.processing_steps AS step
SET execution_count = execution_count + figure.count,
    avg_execution_time_ms = (coalesce(avg_execution_time_ms, 0) * execution_count + figure.milliseconds)
        / nullif(execution_count + figure.count, 0),
    error_count = error_count + figure.failures,
    success_rate = 100.0 * (1 - (error_count + figure.failures)::double precision
        / nullif(execution_count + figure.count, 0))
FROM (SELECT * FROM json_to_recordset($1::json) AS f
          (pipeline_id text, step_name text, count bigint, failures bigint, milliseconds double precision)
      ORDER BY pipeline_id, step_name) AS figure
WHERE step.pipeline_id = figure.pipeline_id AND step.step_name = figure.step_name
