//! Many events in one call.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use camcount_jsonb::{Object, Value};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::conditions::Conditions;
use super::publish::new_id;
use crate::arguments::{name, required};
use crate::database;
use crate::error::{Error, Result};
use crate::fields::{id, refused, text};
use crate::jsonb::{Jsonb, unreadable};

const PARAMETER: &str = "p_events";
/// Events of one call at most.
const MOST: usize = 100_000;
const KEYS: [&str; 7] = [
    "aggregate_id",
    "aggregate_type",
    "event_type",
    "event_data",
    "event_metadata",
    "source_system",
    "user_id",
];

/// Appends many events: a JSON array of objects with `aggregate_id`, `aggregate_type`, `event_type` and `event_data`,
/// and, where they are wanted, `event_metadata`, `source_system` and `user_id`, all as in `publish_event`. All are
/// published, in their order, or none and the one that is refused is named. Returns their ids in the same order.
#[pg_extern]
fn publish_events(p_events: Option<Jsonb>) -> Result<Vec<String>, ErrorReport> {
    let events = required(p_events, PARAMETER)?.fetched();
    let Value::Array(array) = events.value(PARAMETER)? else {
        return Err(Error::invalid(PARAMETER, "must be a JSON array of objects").into());
    };
    if array.len() > MOST {
        let reason = format!("has {} elements; {MOST} is the most", array.len());
        return Err(Error::invalid(PARAMETER, reason).into());
    }
    let mut batch = Batch::default();
    for (index, element) in array.iter().enumerate() {
        let event = element.map_err(unreadable(PARAMETER)).and_then(Element::read);
        batch.events.push(event.map_err(at(index))?);
    }
    Ok(batch.publish(events)?)
}

fn at(index: usize) -> impl Fn(Error) -> Error {
    move |source| Error::Element { parameter: PARAMETER, index, source: Box::new(source) }
}

struct Element<'a> {
    aggregate: Aggregate<'a>,
    event_type: Cow<'a, str>,
    conditions: Conditions<'a>,
    source: Cow<'a, str>,
    user: Option<i32>,
    whole: Object<'a>,
}

/// Type and id; in this order aggregates are locked.
type Aggregate<'a> = (Cow<'a, str>, Cow<'a, str>);

impl<'a> Element<'a> {
    fn read(element: Value<'a>) -> Result<Self> {
        let Value::Object(object) = element else {
            return Err(Error::invalid("the element", "must be an object"));
        };
        let unreadable = unreadable("the element");
        let field = |key| object.get(key).map(|value| value.unwrap_or(Value::Null)).map_err(&unreadable);
        let known = KEYS.iter().filter(|key| !matches!(object.get(key), Ok(None))).count();
        if known < object.len() {
            return Err(Error::invalid("the element", format!("has other keys than {}", KEYS.join(", "))));
        }
        let given = |value: Option<Cow<'a, str>>, parameter: &'static str| {
            name(value.as_deref(), parameter)?;
            required(value, parameter)
        };
        if object.get("event_data").map_err(&unreadable)?.is_none() {
            return Err(Error::Null { parameter: "event_data" });
        }
        let conditions = match field("event_metadata")? {
            Value::Null => Conditions::default(),
            metadata => Conditions::read(metadata, "event_metadata")?,
        };
        Ok(Self {
            aggregate: (
                given(text(field("aggregate_type")?, "aggregate_type")?, "aggregate_type")?,
                given(id(field("aggregate_id")?, "aggregate_id")?, "aggregate_id")?,
            ),
            event_type: given(text(field("event_type")?, "event_type")?, "event_type")?,
            conditions,
            source: match text(field("source_system")?, "source_system")? {
                Some(source) => given(Some(source), "source_system")?,
                None => "database".into(),
            },
            user: user(field("user_id")?)?,
            whole: object,
        })
    }
}

fn user(value: Value<'_>) -> Result<Option<i32>> {
    let number = match value {
        Value::Null => return Ok(None),
        Value::Number(number) => number.as_integer().and_then(|number| i32::try_from(number).ok()),
        _ => None,
    };
    number.map(Some).ok_or_else(|| refused("user_id", "must be an integer", value))
}

#[derive(Default)]
struct Batch<'a> {
    events: Vec<Element<'a>>,
}

/// What becomes of an event.
enum Fate {
    /// It is there already, with this id.
    Known(String),
    /// It repeats an earlier one of the batch.
    Repeats(usize),
    New {
        event_id: String,
        version: i32,
    },
}

impl Batch<'_> {
    fn publish(self, events: Jsonb) -> Result<Vec<String>> {
        let has_keys = self.events.iter().any(|event| event.conditions.key.is_some());
        let mut fates: Vec<Option<Fate>> = self.events.iter().map(|_| None).collect();
        if has_keys {
            // Locked before the keys are looked up, so that nobody else is publishing with one of them.
            self.advance(self.events.iter().map(|event| (&event.aggregate, 0)))?;
            self.find_repeated(&mut fates)?;
            self.find_known(events, &mut fates)?;
        }
        let new = self.events.iter().zip(&fates).filter(|(_, fate)| fate.is_none());
        let mut versions = self.advance(new.map(|(event, _)| (&event.aggregate, 1)))?;
        for (index, (event, fate)) in self.events.iter().zip(&mut fates).enumerate() {
            if fate.is_some() {
                continue;
            }
            let version =
                versions.get_mut(&event.aggregate).ok_or(Error::Runtime("lost a version".into()))?;
            event.conditions.hold(&event.aggregate.0, &event.aggregate.1, *version).map_err(at(index))?;
            *version += 1;
            *fate = Some(Fate::New { event_id: new_id(), version: *version });
        }
        self.store(events, &fates)?;
        Ok(ids(fates))
    }

    /// Locks the aggregates, one after the other in one order, so that two calls do not wait for each other, and
    /// counts up their versions. Returns the versions before.
    fn advance<'e>(
        &'e self,
        events: impl Iterator<Item = (&'e Aggregate<'e>, i32)>,
    ) -> Result<BTreeMap<Aggregate<'e>, i32>> {
        const ADVANCE: &str =
            "INSERT INTO camcount.event_aggregates AS a (aggregate_type, aggregate_id, last_version)
            SELECT * FROM unnest($1, $2, $3)
            ON CONFLICT (aggregate_type, aggregate_id)
                DO UPDATE SET last_version = a.last_version + excluded.last_version
            RETURNING last_version";
        let mut counts = BTreeMap::new();
        for (aggregate, count) in events {
            *counts.entry(aggregate.clone()).or_insert(0) += count;
        }
        let texts = |text: fn(&Aggregate<'e>) -> String| counts.keys().map(text).collect::<Vec<_>>();
        let arguments = [
            texts(|aggregate| aggregate.0.to_string()).into(),
            texts(|aggregate| aggregate.1.to_string()).into(),
            counts.values().copied().collect::<Vec<i32>>().into(),
        ];
        Spi::connect_mut(|client| {
            let rows = database::execute(client, ADVANCE, &arguments)?;
            for (row, version) in rows.zip(counts.values_mut()) {
                *version = row.get::<i32>(1)?.unwrap_or(0) - *version;
            }
            Ok(counts)
        })
    }

    /// Of events of one aggregate with one key, only the first is new.
    fn find_repeated(&self, fates: &mut [Option<Fate>]) -> Result<()> {
        let mut first = BTreeMap::new();
        for (index, event) in self.events.iter().enumerate() {
            let Some(key) = &event.conditions.key else { continue };
            match first.entry((&event.aggregate, key)) {
                Entry::Vacant(entry) => drop(entry.insert(index)),
                Entry::Occupied(entry) => {
                    let earlier = *entry.get();
                    if self.events[earlier].whole.bytes() != event.whole.bytes() {
                        let event_id = format!("{PARAMETER}[{earlier}]");
                        return Err(at(index)(Error::KeyUsed { key: key.to_string(), event_id }));
                    }
                    fates[index] = Some(Fate::Repeats(earlier));
                }
            }
        }
        Ok(())
    }

    /// Events whose keys are in the store.
    fn find_known(&self, events: Jsonb, fates: &mut [Option<Fate>]) -> Result<()> {
        const FIND: &str = include_str!("known_events.sql");
        let keyed = || self.events.iter().enumerate().filter(|(_, event)| event.conditions.key.is_some());
        let texts =
            |text: fn(&Element<'_>) -> String| keyed().map(|(_, event)| text(event)).collect::<Vec<_>>();
        let arguments = [
            texts(|event| event.aggregate.0.to_string()).into(),
            texts(|event| event.aggregate.1.to_string()).into(),
            texts(|event| event.conditions.key.as_deref().unwrap_or_default().to_owned()).into(),
            texts(|event| event.event_type.to_string()).into(),
            texts(|event| event.source.to_string()).into(),
            keyed().map(|(index, _)| index as i32).collect::<Vec<_>>().into(),
            events.into(),
        ];
        Spi::connect_mut(|client| {
            for row in database::execute(client, FIND, &arguments)? {
                let index = row.get::<i32>(1)?.unwrap_or(0) as usize;
                let event_id = row.get::<String>(2)?.unwrap_or_default();
                let Some(event) = self.events.get(index) else { continue };
                if row.get::<bool>(3)? != Some(true) {
                    let key = event.conditions.key.as_deref().unwrap_or_default().to_owned();
                    return Err(at(index)(Error::KeyUsed { key, event_id }));
                }
                if fates[index].is_none() {
                    fates[index] = Some(Fate::Known(event_id));
                }
            }
            Ok(())
        })
    }

    /// Data and metadata are taken out of the argument as they are.
    fn store(&self, events: Jsonb, fates: &[Option<Fate>]) -> Result<()> {
        const STORE: &str = include_str!("publish_events.sql");
        let (mut ids, mut types, mut aggregates, mut event_types) = (vec![], vec![], vec![], vec![]);
        let (mut versions, mut sources, mut users, mut indexes) = (vec![], vec![], vec![], vec![]);
        let mut has_metadata = false;
        for (index, (event, fate)) in self.events.iter().zip(fates).enumerate() {
            let Some(Fate::New { event_id, version }) = fate else { continue };
            ids.push(event_id.clone());
            types.push(event.aggregate.0.to_string());
            aggregates.push(event.aggregate.1.to_string());
            event_types.push(event.event_type.to_string());
            versions.push(*version);
            sources.push(event.source.to_string());
            users.push(event.user);
            indexes.push(index as i32);
            has_metadata |= matches!(event.whole.get("event_metadata"), Ok(Some(Value::Object(_))));
        }
        let arguments = [
            ids.into(),
            types.into(),
            aggregates.into(),
            event_types.into(),
            versions.into(),
            sources.into(),
            users.into(),
            indexes.into(),
            events.into(),
            has_metadata.into(),
        ];
        database::run(STORE, &arguments)?;
        Ok(())
    }
}

fn ids(fates: Vec<Option<Fate>>) -> Vec<String> {
    let mut ids: Vec<String> = Vec::with_capacity(fates.len());
    for fate in fates.into_iter().flatten() {
        let event_id = match fate {
            Fate::Known(event_id) | Fate::New { event_id, .. } => event_id,
            Fate::Repeats(earlier) => ids[earlier].clone(),
        };
        ids.push(event_id);
    }
    ids
}
