-- $1 queue, $2 ingestion id, $3 camera, $4 stream, $5 frame time, $6 frame number, $7 data type, $8 priority,
-- $9 bytes, $10 image, $11 format, $12 width, $13 height, $14 {"exif": …}, $15 payload, $16 whether the picture
-- came in the payload.
WITH arrival AS (
    SELECT $2 AS ingestion_id, $3 AS camera_id, $4 AS stream_id, $5 AS frame_timestamp, $6 AS frame_number,
           $7 AS data_type, $8 AS priority, $9 AS size, $10 AS image, $11 AS format, $12 AS width, $13 AS height,
           $14 AS exif, CASE WHEN $16 THEN $15 - 'image' ELSE coalesce($15, '{}') END AS payload
)
