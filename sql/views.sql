-- What people look at.

CREATE VIEW line_counts AS
SELECT camera_id, pipeline_id, line_name,
       count(*) FILTER (WHERE direction = 'in') AS count_in,
       count(*) FILTER (WHERE direction = 'out') AS count_out,
       max(crossed_at) AS last_crossed_at
FROM line_crossings
GROUP BY camera_id, pipeline_id, line_name;
COMMENT ON VIEW line_counts IS 'Crossings of each line since the oldest one kept, over all streams of the camera.';
COMMENT ON COLUMN line_counts.camera_id IS 'Which camera.';
COMMENT ON COLUMN line_counts.pipeline_id IS 'Which pipeline.';
COMMENT ON COLUMN line_counts.line_name IS 'Which line.';
COMMENT ON COLUMN line_counts.count_in IS
    'Crossings toward the right-hand side when looking from the line''s start to its end.';
COMMENT ON COLUMN line_counts.count_out IS 'Crossings the other way.';
COMMENT ON COLUMN line_counts.last_crossed_at IS 'Time of the latest crossing.';

CREATE VIEW line_counts_hourly AS
SELECT x.camera_id, x.pipeline_id, x.line_name,
       date_trunc('hour', x.crossed_at, coalesce(c.time_zone, 'UTC')) AS hour,
       count(*) FILTER (WHERE x.direction = 'in') AS count_in,
       count(*) FILTER (WHERE x.direction = 'out') AS count_out
FROM line_crossings x
LEFT JOIN cameras c USING (camera_id)
GROUP BY x.camera_id, x.pipeline_id, x.line_name, 4;
COMMENT ON VIEW line_counts_hourly IS
    'Crossings of each line by the hour of the camera''s time zone; hours without any are left out.';
COMMENT ON COLUMN line_counts_hourly.camera_id IS 'Which camera.';
COMMENT ON COLUMN line_counts_hourly.pipeline_id IS 'Which pipeline.';
COMMENT ON COLUMN line_counts_hourly.line_name IS 'Which line.';
COMMENT ON COLUMN line_counts_hourly.hour IS 'Start of the hour.';
COMMENT ON COLUMN line_counts_hourly.count_in IS 'Crossings inward.';
COMMENT ON COLUMN line_counts_hourly.count_out IS 'Crossings outward.';

CREATE VIEW zone_occupancy AS
SELECT z.camera_id, z.pipeline_id, z.stream_id, z.zone_name, z.occupancy, z.is_overcrowded, z.as_of,
       today.visits_today, today.average_dwell_seconds
FROM zone_state z
LEFT JOIN cameras c USING (camera_id)
CROSS JOIN LATERAL (
    SELECT count(*) AS visits_today, avg(v.dwell_seconds) AS average_dwell_seconds
    FROM zone_visits v
    WHERE v.camera_id = z.camera_id AND v.stream_id = z.stream_id AND v.pipeline_id = z.pipeline_id
      AND v.zone_name = z.zone_name
      AND v.entered_at >= date_trunc('day', now(), coalesce(c.time_zone, 'UTC'))
) today;
COMMENT ON VIEW zone_occupancy IS 'How many are in each zone now, and today''s visits.';
COMMENT ON COLUMN zone_occupancy.camera_id IS 'Which camera.';
COMMENT ON COLUMN zone_occupancy.pipeline_id IS 'Which pipeline.';
COMMENT ON COLUMN zone_occupancy.stream_id IS 'Which stream of the camera.';
COMMENT ON COLUMN zone_occupancy.zone_name IS 'Which zone.';
COMMENT ON COLUMN zone_occupancy.occupancy IS 'Tracks inside, those hidden for the moment included.';
COMMENT ON COLUMN zone_occupancy.is_overcrowded IS 'Whether it has been at its limit for as long as configured.';
COMMENT ON COLUMN zone_occupancy.as_of IS 'Time of the frame that says so.';
COMMENT ON COLUMN zone_occupancy.visits_today IS 'Visits that began since midnight in the camera''s time zone.';
COMMENT ON COLUMN zone_occupancy.average_dwell_seconds IS
    'Mean dwell of those of them that have ended; NULL where none has.';

CREATE VIEW queue_items AS
SELECT m.id, m.queue_id, m.processing_priority AS item_priority, 'realtime_processing'::text AS item_type,
       jsonb_build_object('ingestion_id', m.ingestion_id, 'camera_id', m.camera_id, 'data_type', m.data_type)
           AS item_data,
       m.data_size_bytes AS item_size_bytes,
       CASE WHEN m.processing_status <> 'pending' THEN m.processing_status
            WHEN s.status = 'processing' OR l.id IS NOT NULL THEN 'processing' ELSE 'queued' END AS status,
       CASE WHEN s.id IS NOT NULL THEN s.attempts
            WHEN l.id IS NOT NULL THEN l.attempts
            WHEN m.processing_status IN ('completed', 'skipped') AND m.processing_started_at IS NOT NULL
                THEN m.retry_count + 1
            ELSE m.retry_count END AS attempts,
       coalesce(s.max_attempts, q.max_attempts) AS max_attempts,
       m.ingestion_timestamp AS queued_at,
       coalesce(s.available_at, r.available_at, m.ingestion_timestamp) AS available_at,
       coalesce(s.processing_started_at, l.claimed_at, m.processing_started_at) AS processing_started_at,
       m.completed_at, coalesce(s.claimed_by::text, l.worker, m.claimed_by) AS claimed_by,
       m.camera_id, m.stream_id, m.ingestion_id, m.frame_timestamp, m.frame_number, m.data_type,
       m.error_message, m.error_code, m.created_at
FROM realtime_data_ingestion m
LEFT JOIN ingestion_queue q USING (queue_id)
LEFT JOIN stream_items s
       ON s.camera_id = m.camera_id AND s.stream_id = m.stream_id AND s.frame_timestamp = m.frame_timestamp
      AND s.frame_number = m.frame_number AND s.id = m.id
LEFT JOIN queue_leases() l ON l.id = m.id AND m.processing_status = 'pending'
LEFT JOIN queue_retries r ON r.camera_id = m.camera_id AND r.id = m.id
WHERE m.queue_id IS NOT NULL;
COMMENT ON VIEW queue_items IS 'Messages as items of their queues, finished ones as long as the messages are kept.';
COMMENT ON COLUMN queue_items.id IS 'Identifies the item; the message''s id.';
COMMENT ON COLUMN queue_items.queue_id IS 'Which queue.';
COMMENT ON COLUMN queue_items.item_priority IS 'Higher goes first.';
COMMENT ON COLUMN queue_items.item_type IS 'realtime_processing.';
COMMENT ON COLUMN queue_items.item_data IS 'ingestion_id, camera_id and data_type.';
COMMENT ON COLUMN queue_items.item_size_bytes IS 'Octets of the message''s payload or picture.';
COMMENT ON COLUMN queue_items.status IS
    'queued, processing, completed, failed (a dead letter) or skipped (came too late, dropped or purged).';
COMMENT ON COLUMN queue_items.attempts IS 'How often it was claimed.';
COMMENT ON COLUMN queue_items.max_attempts IS 'After so many it rests as failed.';
COMMENT ON COLUMN queue_items.queued_at IS 'When it came in.';
COMMENT ON COLUMN queue_items.available_at IS 'Not to be claimed before: a retry waits.';
COMMENT ON COLUMN queue_items.processing_started_at IS 'When it was last claimed.';
COMMENT ON COLUMN queue_items.completed_at IS 'When it was finished, for better or worse.';
COMMENT ON COLUMN queue_items.claimed_by IS 'Who holds it, or finished it: worker_id of a vision worker, or an outside worker''s name.';
COMMENT ON COLUMN queue_items.camera_id IS 'Which camera.';
COMMENT ON COLUMN queue_items.stream_id IS 'Which stream of the camera.';
COMMENT ON COLUMN queue_items.ingestion_id IS 'The message.';
COMMENT ON COLUMN queue_items.frame_timestamp IS 'When the frame was taken.';
COMMENT ON COLUMN queue_items.frame_number IS 'The sender''s number of the frame.';
COMMENT ON COLUMN queue_items.data_type IS 'frame, detection, tracking or counting.';
COMMENT ON COLUMN queue_items.error_message IS 'Why it failed or was skipped.';
COMMENT ON COLUMN queue_items.error_code IS 'SQLSTATE of the failure.';
COMMENT ON COLUMN queue_items.created_at IS 'When the row was made.';

CREATE VIEW queue_status AS
SELECT q.queue_id, q.queue_type, coalesce(u.queued, 0) AS queued, coalesce(u.processing, 0) AS processing,
       coalesce(d.failed, 0) AS failed,
       coalesce(f.size, coalesce(u.queued, 0) + coalesce(u.processing, 0)) AS current_size, q.max_size,
       coalesce(f.completed, 0) AS completed, coalesce(f.skipped, 0) AS skipped, coalesce(f.dropped, 0) AS dropped,
       u.oldest_queued_at, f.last_processed_at, q.is_active, q.is_paused
FROM ingestion_queue q
LEFT JOIN queue_figures() f USING (queue_id)
LEFT JOIN (SELECT queue_id, count(*) FILTER (WHERE status = 'queued') AS queued,
                  count(*) FILTER (WHERE status = 'processing') AS processing,
                  min(queued_at) FILTER (WHERE status = 'queued') AS oldest_queued_at
           FROM unfinished_items GROUP BY queue_id) u USING (queue_id)
LEFT JOIN (SELECT queue_id, count(*) AS failed FROM failed_items GROUP BY queue_id) d USING (queue_id);
COMMENT ON VIEW queue_status IS 'What is in each queue now, and what has left it since the server started.';
COMMENT ON COLUMN queue_status.queue_id IS 'Which queue.';
COMMENT ON COLUMN queue_status.queue_type IS 'high_priority, normal or batch.';
COMMENT ON COLUMN queue_status.queued IS 'Items that wait.';
COMMENT ON COLUMN queue_status.processing IS 'Items that a worker holds.';
COMMENT ON COLUMN queue_status.failed IS 'Items without attempts left: see dead_letters.';
COMMENT ON COLUMN queue_status.current_size IS
    'Items that are not finished, those of open transactions included: what max_size limits.';
COMMENT ON COLUMN queue_status.max_size IS 'The limit.';
COMMENT ON COLUMN queue_status.completed IS 'Items that went well since the server started.';
COMMENT ON COLUMN queue_status.skipped IS
    'Items that came too late, or were purged, since the server started.';
COMMENT ON COLUMN queue_status.dropped IS 'Frames given up since the server started because the queue was full.';
COMMENT ON COLUMN queue_status.oldest_queued_at IS 'When the item came in that waits longest.';
COMMENT ON COLUMN queue_status.last_processed_at IS 'When an item last left the queue.';
COMMENT ON COLUMN queue_status.is_active IS 'Whether the queue is served at all.';
COMMENT ON COLUMN queue_status.is_paused IS 'Whether it is not served for now.';

CREATE VIEW dead_letters AS
SELECT m.id, m.queue_id, m.camera_id, m.stream_id, m.ingestion_id, m.data_type, m.frame_timestamp, m.frame_number,
       m.retry_count AS attempts, m.ingestion_timestamp AS queued_at, m.completed_at AS failed_at, m.error_code,
       m.error_message
FROM failed_items f
JOIN realtime_data_ingestion m USING (frame_timestamp, camera_id, id)
WHERE m.processing_status = 'failed';
COMMENT ON VIEW dead_letters IS 'Messages that could not be processed, with the reason.';
COMMENT ON COLUMN dead_letters.id IS 'The queue item.';
COMMENT ON COLUMN dead_letters.queue_id IS 'Which queue.';
COMMENT ON COLUMN dead_letters.camera_id IS 'Which camera.';
COMMENT ON COLUMN dead_letters.stream_id IS 'Which stream of the camera.';
COMMENT ON COLUMN dead_letters.ingestion_id IS 'The message.';
COMMENT ON COLUMN dead_letters.data_type IS 'frame, detection, tracking or counting.';
COMMENT ON COLUMN dead_letters.frame_timestamp IS 'When the frame was taken.';
COMMENT ON COLUMN dead_letters.frame_number IS 'The sender''s number of the frame.';
COMMENT ON COLUMN dead_letters.attempts IS 'How often it was tried.';
COMMENT ON COLUMN dead_letters.queued_at IS 'When it came in.';
COMMENT ON COLUMN dead_letters.failed_at IS 'When the last attempt failed.';
COMMENT ON COLUMN dead_letters.error_code IS 'SQLSTATE of the failure.';
COMMENT ON COLUMN dead_letters.error_message IS 'Why it failed.';

CREATE VIEW camera_quality AS
SELECT c.camera_id, c.camera_name, m.metric_timestamp AS measured_at, m.ingestion_rate_fps AS fps,
       m.ingestion_throughput_mbps AS bitrate_mbps, m.ingestion_latency_ms AS latency_ms, m.jitter_ms, m.lost_frames,
       m.image_quality_score, m.sharpness, m.brightness, m.is_frozen
FROM cameras c
CROSS JOIN LATERAL (
    SELECT * FROM ingestion_monitoring i WHERE i.camera_id = c.camera_id ORDER BY i.metric_timestamp DESC LIMIT 1
) m;
COMMENT ON VIEW camera_quality IS 'Each camera''s last sample: how fast, how regularly and how well it sends.';
COMMENT ON COLUMN camera_quality.camera_id IS 'Which camera.';
COMMENT ON COLUMN camera_quality.camera_name IS 'What people call it.';
COMMENT ON COLUMN camera_quality.measured_at IS 'End of the stretch of time that was measured.';
COMMENT ON COLUMN camera_quality.fps IS 'Messages a second; 0 for a camera that has fallen silent.';
COMMENT ON COLUMN camera_quality.bitrate_mbps IS 'Megabits a second.';
COMMENT ON COLUMN camera_quality.latency_ms IS 'From the frame to its arrival, mean.';
COMMENT ON COLUMN camera_quality.jitter_ms IS 'Interarrival jitter of RFC 3550 over the last minute.';
COMMENT ON COLUMN camera_quality.lost_frames IS 'Gaps in the frame numbers.';
COMMENT ON COLUMN camera_quality.image_quality_score IS 'Sharpness and exposure in one figure, 0 to 100; 0 where the picture is frozen.';
COMMENT ON COLUMN camera_quality.sharpness IS 'Variance of the Laplacian; below about 100 a picture is blurred.';
COMMENT ON COLUMN camera_quality.brightness IS 'Mean luma, 0 to 1.';
COMMENT ON COLUMN camera_quality.is_frozen IS 'The picture has not changed for five seconds.';

CREATE VIEW workers AS
SELECT w.worker_id, w.pid, w.kind, w.state, w.detail, w.execution_provider, w.frames_processed,
       w.last_error, w.last_error_at, w.started_at, w.updated_at
FROM worker_status w
JOIN pg_stat_get_activity(NULL) a ON a.pid = w.pid AND a.backend_start = w.backend_start;
COMMENT ON VIEW workers IS 'The workers of this database that are running.';
COMMENT ON COLUMN workers.worker_id IS 'Identifies one run of a worker; claims carry it.';
COMMENT ON COLUMN workers.pid IS 'Its process.';
COMMENT ON COLUMN workers.kind IS 'maintenance, vision or events.';
COMMENT ON COLUMN workers.state IS 'What it does.';
COMMENT ON COLUMN workers.detail IS 'What it waits for, where something is missing.';
COMMENT ON COLUMN workers.execution_provider IS 'What its models run on.';
COMMENT ON COLUMN workers.frames_processed IS 'Messages it has applied.';
COMMENT ON COLUMN workers.last_error IS 'The last thing that went wrong.';
COMMENT ON COLUMN workers.last_error_at IS 'When that was.';
COMMENT ON COLUMN workers.started_at IS 'When it began.';
COMMENT ON COLUMN workers.updated_at IS 'When it last said something of itself.';

CREATE VIEW frame_tracks AS
SELECT r.camera_id, r.stream_id, r.pipeline_id, r.ingestion_id, r.frame_number, r.frame_timestamp,
       t.track_id, t.class, t.confidence,
       t.bbox[1] AS x, t.bbox[2] AS y, t.bbox[3] AS w, t.bbox[4] AS h,
       (r.result_data ->> 'width')::integer AS picture_width,
       (r.result_data ->> 'height')::integer AS picture_height
FROM processing_results r
CROSS JOIN LATERAL jsonb_to_recordset(r.result_data -> 'tracks')
    AS t (track_id bigint, class text, confidence double precision, bbox double precision[], seen boolean)
WHERE r.step_name = 'track' AND r.status = 'completed' AND t.seen;
COMMENT ON VIEW frame_tracks IS 'Where each track was seen in each frame, as long as processing_results are kept.';
COMMENT ON COLUMN frame_tracks.camera_id IS 'Which camera.';
COMMENT ON COLUMN frame_tracks.stream_id IS 'Which stream of the camera.';
COMMENT ON COLUMN frame_tracks.pipeline_id IS 'Which pipeline.';
COMMENT ON COLUMN frame_tracks.ingestion_id IS 'The message.';
COMMENT ON COLUMN frame_tracks.frame_number IS 'The sender''s number of the frame.';
COMMENT ON COLUMN frame_tracks.frame_timestamp IS 'When the frame was taken.';
COMMENT ON COLUMN frame_tracks.track_id IS 'Identity within the stream and pipeline.';
COMMENT ON COLUMN frame_tracks.class IS 'What it is, for example person.';
COMMENT ON COLUMN frame_tracks.confidence IS 'Score of the detection, 0 to 1.';
COMMENT ON COLUMN frame_tracks.x IS 'Left edge of the box, in picture widths.';
COMMENT ON COLUMN frame_tracks.y IS 'Top edge of the box, in picture heights.';
COMMENT ON COLUMN frame_tracks.w IS 'Width of the box, in picture widths.';
COMMENT ON COLUMN frame_tracks.h IS 'Height of the box, in picture heights.';
COMMENT ON COLUMN frame_tracks.picture_width IS 'Pixels across.';
COMMENT ON COLUMN frame_tracks.picture_height IS 'Pixels down.';

CREATE VIEW streams AS
SELECT s.camera_id, s.stream_id, s.last_frame_timestamp, s.last_frame_number, s.frames_processed,
       waiting.queued, waiting.oldest_queued_at,
       coalesce(clock_timestamp() - waiting.oldest_queued_at, interval '0') AS lag,
       s.claimed_by, s.lease_until
FROM stream_state s
CROSS JOIN LATERAL (
    SELECT count(*) AS queued, min(i.queued_at) AS oldest_queued_at
    FROM stream_items i
    WHERE i.camera_id = s.camera_id AND i.stream_id = s.stream_id AND i.status = 'queued'
) waiting;
COMMENT ON VIEW streams IS 'How far each stream is, and what of it waits.';
COMMENT ON COLUMN streams.camera_id IS 'Which camera.';
COMMENT ON COLUMN streams.stream_id IS 'Which stream of the camera.';
COMMENT ON COLUMN streams.last_frame_timestamp IS 'Time of the last frame applied.';
COMMENT ON COLUMN streams.last_frame_number IS 'Number of the last frame applied.';
COMMENT ON COLUMN streams.frames_processed IS 'Messages applied so far.';
COMMENT ON COLUMN streams.queued IS 'Items that wait for the vision worker.';
COMMENT ON COLUMN streams.oldest_queued_at IS 'When the item came in that waits longest; NULL where none waits.';
COMMENT ON COLUMN streams.lag IS 'How long that is ago; 0 where none waits.';
COMMENT ON COLUMN streams.claimed_by IS 'worker_id of the worker that holds the stream, NULL where it is free.';
COMMENT ON COLUMN streams.lease_until IS 'How long the claim is valid without renewal.';
