//! The cache against a map that never forgets.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use proptest::prelude::*;

use crate::blocks::{Field, Kind};
use crate::{Cache, Key, LoadError, Space, Statistics};

const SECOND: i64 = 1_000_000;
const HERE: Space = Space { database: 5, identity: 77 };
const THERE: Space = Space { database: 5, identity: -78 };

fn region(octets: usize) -> Vec<AtomicU64> {
    // What is in memory beforehand does not matter.
    (0..octets / 8).map(|_| AtomicU64::new(u64::MAX)).collect()
}

fn key(name: &str) -> Key<'_> {
    Key { space: HERE, name: name.as_bytes() }
}

fn value(length: usize, seed: u64) -> Vec<u8> {
    (0..length).map(|index| (seed as usize * 31 + index * 7) as u8).collect()
}

/// Every block is free or of one entry, every entry is found by its key, and what is counted is there.
fn check(cache: &Cache<'_>) {
    let blocks = cache.blocks();
    let mut owned = vec![false; blocks.count()];
    let mut chain = |first: Option<usize>, kinds: [Kind; 2]| {
        let mut length = 0;
        let mut next = first;
        while let Some(block) = next {
            assert!(!std::mem::replace(&mut owned[block], true), "block {block} is of two chains");
            assert_eq!(blocks.kind(block), kinds[usize::from(length > 0)]);
            next = blocks.next(block);
            length += 1;
        }
        length
    };
    let free = chain((blocks.get(Field::FreeFirst) as usize).checked_sub(1), [Kind::Free; 2]);
    assert_eq!(free as u64, blocks.get(Field::FreeCount));
    let heads: Vec<_> = cache.places(0..usize::MAX).collect();
    for place in &heads {
        let entry = place.entry();
        assert!(place.is_of(entry.key()));
        chain(Some(place.head), [Kind::Head, Kind::More]);
    }
    assert!(owned.iter().all(|&owned| owned), "a block is of no chain");
    assert_eq!(heads.len() as u64, cache.statistics().entries);
    assert_eq!(blocks.get(Field::IsChanging), 0);
}

#[test]
fn a_value_is_found_by_its_key_until_it_expires() {
    let memory = region(64 << 10);
    let mut cache = Cache::format(&memory, 1).unwrap();
    cache.set(key("a"), b"one", 10, 0).unwrap();
    assert_eq!(cache.get(key("a"), 10 * SECOND - 1), Some(b"one".to_vec()));
    assert_eq!(cache.get(key("a"), 10 * SECOND), None);
    assert_eq!(cache.get(key("b"), 0), None);
    assert_eq!(cache.get(Key { space: THERE, name: b"a" }, 0), None);
    let Statistics { hits, misses, entries, .. } = cache.statistics();
    assert_eq!((hits, misses, entries), (1, 3, 1));
}

#[test]
fn a_new_value_keeps_the_counts_of_its_key() {
    let memory = region(64 << 10);
    let mut cache = Cache::format(&memory, 1).unwrap();
    cache.set(key("a"), b"one", 10, 0).unwrap();
    cache.get(key("a"), SECOND);
    cache.get(key("a"), 11 * SECOND);
    cache.set(key("a"), &value(1000, 3), 20, 12 * SECOND).unwrap();
    let entry = cache.entries(None, 0..cache.extent(), 13 * SECOND).next().unwrap();
    let figures = entry.figures;
    assert_eq!(
        (figures.hits, figures.misses, figures.created_at, figures.written_at),
        (1, 1, 0, 12 * SECOND)
    );
    assert_eq!((figures.ttl_seconds, figures.expires_at), (20, 32 * SECOND));
    assert_eq!((entry.space, entry.name, entry.value), (HERE, b"a".to_vec(), value(1000, 3)));
    check(&cache);
}

#[test]
fn what_was_just_used_stays_and_what_has_expired_goes_first() {
    let memory = region(64 << 10);
    let mut cache = Cache::format(&memory, 1).unwrap();
    cache.set(key("used"), b"1", 1000, 0).unwrap();
    cache.set(key("expired"), b"2", 1, 0).unwrap();
    for now in 0..2000 {
        let now = 2 * SECOND + now;
        cache.set(key(&format!("other {now}")), &value(100, 1), 1000, now).unwrap();
        assert!(cache.get(key("used"), now).is_some());
    }
    let Statistics { evictions, expirations, entries, free, .. } = cache.statistics();
    assert_eq!((evictions + expirations + entries, expirations, free), (2002, 1, 0));
    // The newest are there; of the oldest none is.
    let is_there =
        |number: i64| cache.get(key(&format!("other {}", 2 * SECOND + number)), 3 * SECOND).is_some();
    assert!((1950..2000).all(is_there) && !(0..500).any(is_there));
    check(&cache);
}

#[test]
fn the_largest_value_fits_and_a_larger_one_is_refused() {
    for octets in [20 << 10, 64 << 10, 1 << 20] {
        let memory = region(octets);
        let mut cache = Cache::format(&memory, 1).unwrap();
        let limit = cache.largest_value();
        assert!(limit < octets / 16);
        let name = "n".repeat(800);
        for round in 0..40 {
            let largest = value(limit, round);
            cache.set(key(&name[round as usize..]), &largest, 10, 0).unwrap();
            assert_eq!(cache.get(key(&name[round as usize..]), 1), Some(largest));
        }
        assert_eq!(cache.set(key(&name), &value(limit + 1, 0), 10, 0).unwrap_err().limit, limit);
        assert_eq!(cache.set(key(&"n".repeat(801)), b"", 10, 0).unwrap_err().limit, 800);
        check(&cache);
    }
    assert!(Cache::format(&region(1 << 20), 1).unwrap().largest_value() > 56 << 10);
}

#[test]
fn a_region_that_is_too_small_becomes_no_cache() {
    for octets in [0, 8, 128, 400, 1000, 5000] {
        let memory = region(octets);
        assert!(Cache::format(&memory, 1).is_none() && Cache::attach(&memory).is_none());
    }
}

#[test]
fn a_region_that_was_left_half_changed_is_no_cache() {
    let memory = region(64 << 10);
    assert!(Cache::attach(&memory).is_none(), "not formatted");
    let cache = Cache::format(&memory, 1).unwrap();
    assert!(Cache::attach(&memory).is_some());
    cache.blocks().put(Field::IsChanging, 1);
    assert!(Cache::attach(&memory).is_none());
    Cache::format(&memory, 1);
    assert!(Cache::attach(&memory).is_some());
}

#[derive(Clone, Debug)]
enum Step {
    Set { name: u8, length: usize, ttl: u32 },
    Get(u8),
    Delete(u8),
    RemoveExpired(usize),
    Wait(i64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..40, prop_oneof![0usize..200, 0usize..3000], 1u32..20)
            .prop_map(|(name, length, ttl)| Step::Set { name, length, ttl }),
        6 => (0u8..40).prop_map(Step::Get),
        2 => (0u8..40).prop_map(Step::Delete),
        1 => (0usize..200).prop_map(Step::RemoveExpired),
        2 => (0i64..5 * SECOND).prop_map(Step::Wait),
        1 => Just(Step::Restart),
    ]
}

/// Names of different lengths, in two spaces.
fn named(name: u8) -> (Space, Vec<u8>) {
    (if name.is_multiple_of(2) { HERE } else { THERE }, vec![name / 2; 1 + usize::from(name) * 20])
}

/// What a key was set to last, with its expiry, where it was not deleted.
type Model = HashMap<u8, (Vec<u8>, i64)>;

/// Forgets what the cache has made room with, which must be as many as it says.
fn forget_removed(model: &mut Model, cache: &Cache<'_>, before: Statistics) {
    let there: Vec<_> = cache.places(0..usize::MAX).map(|place| (place.space(), place.name())).collect();
    let known = model.len();
    model.retain(|&name, _| there.contains(&named(name)));
    let now = cache.statistics();
    let removed = now.evictions + now.expirations - before.evictions - before.expirations;
    assert_eq!((known - model.len()) as u64, removed);
    assert_eq!(there.len(), model.len());
}

proptest! {
    #[test]
    fn it_is_a_map_that_forgets_only_what_it_says(steps in prop::collection::vec(step(), 1..200), octets in 30_000usize..200_000) {
        let memory = region(octets);
        let mut cache = Cache::format(&memory, 42).unwrap();
        let (mut model, mut now) = (Model::new(), 0);
        for (index, step) in steps.into_iter().enumerate() {
            let before = cache.statistics();
            match step {
                Step::Set { name, length, ttl } => {
                    let (space, octets) = named(name);
                    let new = value(length, index as u64);
                    let limit = cache.largest_value();
                    let set = cache.set(Key { space, name: &octets }, &new, ttl, now);
                    prop_assert_eq!(set.is_ok(), length <= limit);
                    if set.is_ok() {
                        model.insert(name, (new, now + i64::from(ttl) * SECOND));
                    }
                    forget_removed(&mut model, &cache, before);
                    prop_assert!(set.is_err() || model.contains_key(&name));
                }
                Step::Get(name) => {
                    let (space, octets) = named(name);
                    let expected = model.get(&name).filter(|(_, until)| *until > now).map(|(value, _)| value.clone());
                    prop_assert_eq!(cache.get(Key { space, name: &octets }, now), expected);
                }
                Step::Delete(name) => {
                    let (space, octets) = named(name);
                    let expected = model.remove(&name).is_some_and(|(_, until)| until > now);
                    prop_assert_eq!(cache.delete(Key { space, name: &octets }, now), expected);
                }
                Step::RemoveExpired(blocks) => {
                    cache.remove_expired(Some(HERE), 0..blocks, now);
                    forget_removed(&mut model, &cache, before);
                    prop_assert!(model.values().filter(|(_, until)| *until > now).count() as u64 <= cache.statistics().entries);
                }
                Step::Wait(time) => now += time,
                Step::Restart => {
                    let mut file = Vec::new();
                    let saved = cache.save(18, now, &mut file).unwrap();
                    let live = model.values().filter(|(_, until)| *until > now).count();
                    prop_assert_eq!(saved, live);
                    prop_assert_eq!(cache.load(18, now, file.as_slice()).unwrap(), live);
                    model.retain(|_, (_, until)| *until > now);
                }
            }
            check(&cache);
        }
    }

    #[test]
    fn a_file_that_is_not_as_it_was_written_is_refused(
        lengths in prop::collection::vec(0usize..500, 0..6),
        place in any::<prop::sample::Index>(), flip in 1u8.., cut in any::<prop::sample::Index>(), more in any::<bool>()
    ) {
        let memory = region(64 << 10);
        let mut cache = Cache::format(&memory, 42).unwrap();
        for (index, length) in lengths.iter().enumerate() {
            cache.set(key(&format!("key {index}")), &value(*length, 1), 100, 0).unwrap();
        }
        let mut file = Vec::new();
        cache.save(18, 0, &mut file).unwrap();
        let mut flipped = file.clone();
        *place.get_mut(&mut flipped) ^= flip;
        let cut = &file[..cut.index(file.len())];
        let mut longer = file.clone();
        longer.push(0);
        for damaged in [flipped.as_slice(), cut, if more { longer.as_slice() } else { b"" }] {
            prop_assert!(cache.load(18, 0, damaged).is_err());
            check(&cache);
            prop_assert_eq!(cache.statistics().entries, 0);
        }
        prop_assert!(matches!(cache.load(17, 0, file.as_slice()), Err(LoadError::Version)));
        prop_assert_eq!(cache.load(18, 0, file.as_slice()).unwrap(), lengths.len());
    }

    #[test]
    fn no_file_is_too_odd(octets in prop::collection::vec(any::<u8>(), 0..300), with_header in any::<bool>()) {
        let memory = region(64 << 10);
        let mut cache = Cache::format(&memory, 42).unwrap();
        let mut file = Vec::new();
        if with_header {
            cache.save(18, 0, &mut file).unwrap();
            file.truncate(16);
        }
        file.extend(octets);
        prop_assert!(cache.load(18, 0, file.as_slice()).is_err());
    }
}

#[test]
fn a_smaller_cache_takes_what_fits() {
    let (large, small) = (region(1 << 20), region(64 << 10));
    let mut cache = Cache::format(&large, 1).unwrap();
    for index in 0..100 {
        cache.set(key(&format!("key {index}")), &value(2000, index), 100, index as i64).unwrap();
    }
    cache.set(key("too large"), &value(50_000, 1), 100, 0).unwrap();
    let mut file = Vec::new();
    assert_eq!(cache.save(18, 0, &mut file).unwrap(), 101);
    let mut smaller = Cache::format(&small, 1).unwrap();
    assert_eq!(smaller.load(18, 0, file.as_slice()).unwrap(), 100);
    assert!(smaller.get(key("key 99"), 0).is_some());
    check(&smaller);
}

/// Readers share a lock: all of their uses count.
#[test]
fn uses_by_several_readers_all_count() {
    let memory = region(64 << 10);
    let mut cache = Cache::format(&memory, 1).unwrap();
    cache.set(key("a"), b"one", 10, 0).unwrap();
    let cache = &cache;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || (0..1000).for_each(|_| drop(cache.get(key("a"), 1))));
        }
    });
    let hits = cache.entries(None, 0..cache.extent(), 1).next().unwrap().figures.hits;
    assert_eq!((hits, cache.statistics().hits), (4000, 4000));
    assert!(memory.iter().any(|word| word.load(Relaxed) == 4000));
}
