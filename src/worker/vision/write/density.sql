-- $1 camera, $2 stream, $3 rows as JSON. A stream has one writer at a time, so that MERGE, which takes no lock on rows
-- that do not exist yet, cannot insert one twice.
MERGE INTO camcount.density_cells AS cell
USING json_to_recordset($3::json) AS seen
    (pipeline_id text, bucket_start timestamptz, grid_columns integer, grid_rows integer, cell_x integer,
     cell_y integer, person_seconds double precision, heat double precision)
   ON cell.camera_id = $1 AND cell.stream_id = $2 AND cell.pipeline_id = seen.pipeline_id
  AND cell.bucket_start = seen.bucket_start
  AND cell.grid_columns = seen.grid_columns AND cell.grid_rows = seen.grid_rows
  AND cell.cell_x = seen.cell_x AND cell.cell_y = seen.cell_y
WHEN MATCHED THEN UPDATE SET person_seconds = cell.person_seconds + seen.person_seconds, heat = seen.heat
WHEN NOT MATCHED THEN INSERT
    (camera_id, stream_id, pipeline_id, bucket_start, grid_columns, grid_rows, cell_x, cell_y, person_seconds, heat)
VALUES ($1, $2, seen.pipeline_id, seen.bucket_start, seen.grid_columns, seen.grid_rows, seen.cell_x, seen.cell_y,
        seen.person_seconds, seen.heat)
