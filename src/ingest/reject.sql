-- $1 the batch, $2 error codes and $3 messages, NULL where an element was taken.
INSERT INTO camcount.ingestion_rejects (camera_id, item, item_index, error_code, error_message)
SELECT coalesce(left(element ->> 'camera_id', 100), ''), element, item_index - 1, error_code, error_message
FROM ROWS FROM (jsonb_array_elements($1), unnest($2), unnest($3)) WITH ORDINALITY
    AS refused (element, error_code, error_message, item_index)
WHERE error_code IS NOT NULL
