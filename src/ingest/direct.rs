//! Messages written directly: see [`crate::rows`].

use std::collections::BTreeMap;

use pgrx::prelude::*;

use super::arrival::Picture;
use super::store::Message;
use crate::rows::{Known, Leaf, Relation, Row, RowId, Sequence, unless_there};

/// Items of one queue entry: few enough that it is stored in its row.
const ENTRY_ITEMS: usize = 64;

/// Constraints that every message fulfils: see `Identity` and `Arrival`.
pub const MESSAGES: Known<'_> = Known {
    triggers: &[],
    checks: &[
        c"realtime_data_ingestion_ingestion_id_length",
        c"realtime_data_ingestion_camera_id_length",
        c"realtime_data_ingestion_stream_id_length",
        c"realtime_data_ingestion_frame_number_range",
        c"realtime_data_ingestion_data_type_known",
        c"realtime_data_ingestion_data_size_range",
        c"realtime_data_ingestion_processing_status_known",
    ],
};
const FRAMES: Known<'_> =
    Known { triggers: &[], checks: &[c"frames_format_known", c"frames_width_range", c"frames_height_range"] };
const ENTRIES: Known<'_> = Known { triggers: &[c"waiting_entries_enter_now"], checks: &[] };

/// Columns of a message.
pub const MESSAGE_COLUMNS: usize = 25;

type MessageRow = Row<MESSAGE_COLUMNS>;
type FrameRow = Row<10>;
type EntryRow = Row<8>;

/// Writes messages that came in `now`. False, with nothing written, where only the executor can write them, or where
/// one of them is there already.
pub fn store(queue_id: &str, messages: &[Message<'_>], now: TimestampWithTimeZone) -> bool {
    if let [message] = messages {
        return store_one(queue_id, message, now).is_some();
    }
    // In the order of the index, and in one order for all sessions, so that two that send the same messages do not wait
    // for each other.
    let mut messages: Vec<_> = messages.iter().collect();
    messages.sort_by_key(|message| (message.time(), &message.arrival.ingestion_id));
    unless_there(|| store_many(queue_id, &messages, now)).is_some()
}

/// A message that is on its way into the tables.
struct Place<'a> {
    id: i64,
    row_id: RowId,
    message: &'a Message<'a>,
}

fn store_one(queue_id: &str, message: &Message<'_>, now: TimestampWithTimeZone) -> Option<()> {
    let table = message_table()?;
    let mut entries = entry_leaf()?;
    let mut frames = message.arrival.picture.as_ref().map(|_| frame_leaf(now));
    if let Some(None) = frames {
        return None;
    }
    let mut leaf = message_leaf(&table, table.partition_for(message.time())?)?;
    let id = Sequence::named(c"realtime_data_ingestion_id_seq")?.next();
    let row = Shared::new(queue_id, now).message_row(id, message);
    let row_id = leaf.insert_unless_there(&row)?;
    if let Some(Some(frames)) = &mut frames {
        store_pictures(frames, &[message], now);
    }
    store_entries(&mut entries, queue_id, &[Place { id, row_id, message }], now);
    Some(())
}

fn store_many(queue_id: &str, messages: &[&Message<'_>], now: TimestampWithTimeZone) -> Option<()> {
    let table = message_table()?;
    let mut entries = entry_leaf()?;
    let ids = Sequence::named(c"realtime_data_ingestion_id_seq")?;
    let mut shared = Shared::new(queue_id, now);
    let mut places = Vec::with_capacity(messages.len());
    let partitions =
        messages.iter().map(|message| table.partition_for(message.time())).collect::<Option<Vec<_>>>()?;
    let mut start = 0;
    for partition in partitions.chunk_by(|a, b| a == b) {
        let messages = &messages[start..start + partition.len()];
        start += partition.len();
        let numbers: Vec<i64> = messages.iter().map(|_| ids.next()).collect();
        let rows: Vec<_> =
            numbers.iter().zip(messages).map(|(&id, message)| shared.message_row(id, message)).collect();
        let row_ids = message_leaf(&table, partition[0])?.insert(&rows);
        let found = numbers.into_iter().zip(row_ids).zip(messages);
        places.extend(found.map(|((id, row_id), &message)| Place { id, row_id, message }));
    }
    if messages.iter().any(|message| message.arrival.picture.is_some()) {
        store_pictures(&mut frame_leaf(now)?, messages, now);
    }
    store_entries(&mut entries, queue_id, &places, now);
    Some(())
}

fn message_table() -> Option<Relation> {
    let table = Relation::named(c"realtime_data_ingestion")?;
    table.is_plain(MessageRow::COLUMNS, &MESSAGES, pg_sys::ACL_INSERT).then_some(table)
}

fn message_leaf(table: &Relation, partition: pg_sys::Oid) -> Option<Leaf> {
    partition_leaf(table, partition, MessageRow::COLUMNS, &MESSAGES)
}

/// All pictures of a call came in at the same time.
fn frame_leaf(now: TimestampWithTimeZone) -> Option<Leaf> {
    let table = Relation::named(c"frames")?;
    if !table.is_plain(FrameRow::COLUMNS, &FRAMES, pg_sys::ACL_INSERT) {
        return None;
    }
    partition_leaf(&table, table.partition_for(now.into())?, FrameRow::COLUMNS, &FRAMES)
}

/// A partition needs no rights of its own.
fn partition_leaf(
    table: &Relation,
    partition: pg_sys::Oid,
    columns: usize,
    known: &Known<'_>,
) -> Option<Leaf> {
    let partition = Relation::open(partition);
    if !partition.has_columns_of(table) {
        return None;
    }
    Leaf::open(partition, columns, Some(known), 0)
}

fn entry_leaf() -> Option<Leaf> {
    Leaf::open(Relation::named(c"waiting_entries")?, EntryRow::COLUMNS, Some(&ENTRIES), pg_sys::ACL_INSERT)
}

/// Values that are the same, or come again, in the rows of one call.
struct Shared {
    now: TimestampWithTimeZone,
    queue_id: pg_sys::Datum,
    pending: pg_sys::Datum,
    texts: BTreeMap<String, pg_sys::Datum>,
}

impl Shared {
    fn new(queue_id: &str, now: TimestampWithTimeZone) -> Self {
        Self { now, queue_id: text(queue_id), pending: text("pending"), texts: BTreeMap::new() }
    }

    fn text(&mut self, value: &str) -> pg_sys::Datum {
        match self.texts.get(value) {
            Some(&datum) => datum,
            None => *self.texts.entry(value.to_owned()).or_insert(text(value)),
        }
    }

    /// The columns in the order of the table's definition.
    fn message_row(&mut self, id: i64, message: &Message<'_>) -> MessageRow {
        let arrival = message.arrival;
        let identity = &arrival.identity;
        let latency = i64::from(self.now) - message.time();
        let mut row = MessageRow::new();
        row.set(0, id)
            .set(1, arrival.ingestion_id.as_str())
            .set_datum(2, self.text(identity.camera_id))
            .set_datum(3, self.text(identity.stream_id))
            .set(4, self.now)
            .set(5, identity.frame_timestamp)
            .set(6, identity.frame_number)
            .set_datum(7, self.text(identity.data_type))
            .set(8, message.payload)
            .set(9, arrival.size as i64)
            .set_datum(10, self.pending)
            .set(11, identity.priority())
            .set(12, 0)
            .set(13, latency.max(0) / 1000)
            .set(16, latency < -1_000_000)
            .set(19, self.now)
            .set_datum(20, self.queue_id)
            .set(21, false);
        row
    }
}

fn text(value: &str) -> pg_sys::Datum {
    value.into_datum().unwrap_or_else(pg_sys::Datum::null)
}

fn store_pictures(leaf: &mut Leaf, messages: &[&Message<'_>], now: TimestampWithTimeZone) {
    let rows: Vec<_> = messages
        .iter()
        .filter_map(|message| Some(frame_row(message, message.arrival.picture.as_ref()?, now)))
        .collect();
    leaf.insert(&rows);
}

fn frame_row(message: &Message<'_>, picture: &Picture<'_>, now: TimestampWithTimeZone) -> FrameRow {
    let identity = &message.arrival.identity;
    let mut row = FrameRow::new();
    row.set(0, message.arrival.ingestion_id.as_str())
        .set(1, identity.camera_id)
        .set(2, identity.stream_id)
        .set(3, now)
        .set(4, identity.frame_timestamp)
        .set(5, identity.frame_number)
        .set(6, picture.format())
        .set(7, picture.info.width as i32)
        .set(8, picture.info.height as i32)
        .set(9, &*picture.image);
    row
}

/// One entry for each priority and 64 items of it.
fn store_entries(leaf: &mut Leaf, queue_id: &str, places: &[Place<'_>], now: TimestampWithTimeZone) {
    let mut by_priority = BTreeMap::<i32, Vec<&Place<'_>>>::new();
    for place in places {
        by_priority.entry(place.message.arrival.identity.priority()).or_default().push(place);
    }
    let mut rows = Vec::new();
    for (priority, places) in by_priority {
        rows.extend(places.chunks(ENTRY_ITEMS).map(|places| entry_row(queue_id, priority, places, now)));
    }
    leaf.insert(&rows);
}

fn entry_row(queue_id: &str, priority: i32, places: &[&Place<'_>], now: TimestampWithTimeZone) -> EntryRow {
    // SAFETY: within a transaction.
    #[allow(unsafe_code)]
    let transaction = unsafe { pg_sys::GetTopFullTransactionId() }.value;
    let ids: Vec<i64> = places.iter().map(|place| place.id).collect();
    let times: Vec<i64> = places.iter().map(|place| place.message.time()).collect();
    let row_ids: Vec<i64> = places.iter().map(|place| place.row_id.into()).collect();
    let mut row = EntryRow::new();
    row.set(0, places[0].id)
        .set(1, queue_id)
        .set(2, priority)
        .set(3, transaction as i64)
        .set(4, now)
        .set_array(5, pg_sys::INT8OID, &ids)
        .set_array(6, pg_sys::TIMESTAMPTZOID, &times)
        .set_array(7, pg_sys::INT8OID, &row_ids);
    row
}
