-- A series that has values has months of rollups.
SELECT s.camera_id, s.metric_name, s.before
FROM (SELECT DISTINCT camera_id, metric_name,
             pg_catalog.date_trunc('day', pg_catalog.clock_timestamp() - p.compress_after,
                                   camcount.camera_time_zone(camera_id)) AS before
      FROM camcount.timeseries_aggregations
      CROSS JOIN (SELECT compress_after FROM camcount.retention_policies
                  WHERE table_name = 'timeseries_data' AND is_active AND compress_after IS NOT NULL) p
      WHERE aggregation_type = 'month') s
WHERE EXISTS (SELECT FROM camcount.timeseries_data d, camcount.timeseries_progress
              WHERE d.camera_id = s.camera_id AND d.metric_name = s.metric_name AND d.metric_timestamp < s.before
                AND d.id <= rolled_up_id)
