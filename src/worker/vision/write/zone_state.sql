-- $1 camera, $2 stream, $3 rows as JSON.
INSERT INTO camcount.zone_state (camera_id, stream_id, pipeline_id, zone_name, occupancy, is_overcrowded, as_of)
SELECT $1, $2, pipeline_id, zone_name, occupancy, is_overcrowded, as_of
FROM json_to_recordset($3::json) AS zone
    (pipeline_id text, zone_name text, occupancy integer, is_overcrowded boolean, as_of timestamptz)
ON CONFLICT (camera_id, stream_id, pipeline_id, zone_name) DO UPDATE SET
    occupancy = excluded.occupancy, is_overcrowded = excluded.is_overcrowded, as_of = excluded.as_of,
    updated_at = clock_timestamp()
