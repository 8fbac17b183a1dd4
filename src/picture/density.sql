-- $1 camera, $2 from, $3 to, $4 pipeline or NULL.
WITH cells AS (
    SELECT pipeline_id, grid_columns, grid_rows, cell_x, cell_y, sum(person_seconds) AS seconds
    FROM camcount.density_cells
    WHERE camera_id = $1 AND bucket_start >= date_trunc('minute', $2) AND bucket_start < $3
      AND ($4 IS NULL OR pipeline_id = $4)
    GROUP BY pipeline_id, grid_columns, grid_rows, cell_x, cell_y
), busiest AS (
    SELECT pipeline_id, grid_columns, grid_rows
    FROM cells
    GROUP BY pipeline_id, grid_columns, grid_rows
    ORDER BY sum(seconds) DESC
    LIMIT 1
)
SELECT grid_columns, grid_rows, cell_x, cell_y, seconds
FROM cells JOIN busiest USING (pipeline_id, grid_columns, grid_rows)
