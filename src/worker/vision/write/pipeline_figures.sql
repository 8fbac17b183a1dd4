-- $1 rows as JSON, $2 seconds that they cover, $3 whether frames still come.
UPDATE camcount.stream_processing_pipeline AS pipeline
SET is_running = $3,
    current_step = figure.current_step,
    frames_processed = frames_processed + figure.count,
    frames_failed = frames_failed + figure.failures,
    processing_rate_fps = figure.count / $2,
    avg_processing_time_ms =
        coalesce(figure.milliseconds / nullif(figure.count, 0), pipeline.avg_processing_time_ms),
    error_rate = 100.0 * (frames_failed + figure.failures)
        / nullif(frames_processed + figure.count + frames_failed + figure.failures, 0)
FROM (SELECT * FROM json_to_recordset($1::json) AS f
          (pipeline_id text, current_step text, count bigint, failures bigint, milliseconds double precision)
      ORDER BY pipeline_id) AS figure
WHERE pipeline.pipeline_id = figure.pipeline_id
