-- $1 camera, $2 stream, $3 rows as JSON.
INSERT INTO camcount.density_cells AS cell
    (camera_id, stream_id, pipeline_id, bucket_start, grid_columns, grid_rows, cell_x, cell_y, person_seconds)
SELECT $1, $2, pipeline_id, bucket_start, grid_columns, grid_rows, cell_x, cell_y, person_seconds
FROM json_to_recordset($3::json) AS seen
    (pipeline_id text, bucket_start timestamptz, grid_columns integer, grid_rows integer, cell_x integer,
     cell_y integer, person_seconds double precision)
ON CONFLICT (camera_id, stream_id, pipeline_id, bucket_start, grid_columns, grid_rows, cell_x, cell_y)
DO UPDATE SET person_seconds = cell.person_seconds + excluded.person_seconds
