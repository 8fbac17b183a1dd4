-- $1 queue, $2 to $14 as for one, each an array with NULL where an element is not to be stored, $15
-- the batch.
WITH arrival AS (
    SELECT ingestion_id, camera_id, stream_id, frame_timestamp, frame_number, data_type, priority, size, image, format,
           width, height, exif,
           CASE data_type WHEN 'frame' THEN (element -> 'data_payload') - 'image' ELSE element -> 'data_payload' END
               AS payload
    FROM ROWS FROM (
        unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7), unnest($8), unnest($9), unnest($10),
        unnest($11), unnest($12), unnest($13), unnest($14), jsonb_array_elements($15)
    ) AS element (ingestion_id, camera_id, stream_id, frame_timestamp, frame_number, data_type, priority, size, image,
                  format, width, height, exif, element)
    WHERE ingestion_id IS NOT NULL
)
