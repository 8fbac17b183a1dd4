use camcount_vision::geometry::Timestamp;
use camcount_vision::pipeline::PipelineConfig;
use camcount_vision::stream::{MAX_DETECTIONS, StateError, StepError, StreamState};
use proptest::prelude::*;
use serde_json::json;

use crate::scene::{Scene, known, person, pipeline};

/// Everything that has state.
fn full() -> PipelineConfig {
    pipeline(json!({
        "lines": [{"name": "a", "from": [0, 0.5], "to": [1, 0.5]},
                  {"name": "b", "from": [0.5, 0], "to": [0.5, 1], "rearm": {"cooldown_seconds": 1}}],
        "zones": [{"name": "z", "polygon": [[0.3, 0.3], [0.7, 0.3], [0.7, 0.9], [0.3, 0.9]], "exit_seconds": 0.3,
                   "overcrowding": {"occupancy": 2, "seconds": 0.5}}],
        "density": {"columns": 12, "rows": 9},
    }))
}

/// The same with one line moved and the zone gone.
fn moved() -> PipelineConfig {
    let mut config = full();
    config.lines[0].from.y = 0.6;
    config.zones.clear();
    config
}

fn saved_and_loaded(state: &StreamState) -> StreamState {
    StreamState::from_bytes(&state.to_bytes().expect("bytes")).expect("a state")
}

/// A frame of a random scene: seconds since the one before, who is seen where, and what happens before it.
#[derive(Clone, Debug)]
struct Step {
    gap: f64,
    seen: Vec<bool>,
    stray: f64,
    is_saved: bool,
    is_moved: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let gap = prop_oneof![4 => Just(0.1), 2 => 0.0..0.4, 1 => Just(0.0), 1 => 2.0..8.0];
    let seen = prop::collection::vec(prop::bool::weighted(0.9), 4);
    let step = (gap, seen, -0.02..0.02, prop::bool::weighted(0.5), prop::bool::weighted(0.02))
        .prop_map(|(gap, seen, stray, is_saved, is_moved)| Step { gap, seen, stray, is_saved, is_moved });
    prop::collection::vec(step, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Saving and loading between any two frames changes nothing at all.
    #[test]
    fn a_saved_and_loaded_state_behaves_as_if_it_had_not_been(steps in steps(), is_tracked: bool) {
        let (mut kept, mut reloaded) = (Scene::new(full()), Scene::new(full()));
        let mut seconds = 0.0;
        for (k, step) in steps.iter().enumerate() {
            seconds += step.gap;
            let seen: Vec<_> = (0..4usize)
                .filter(|&who| step.seen[who])
                .map(|who| {
                    let turn = (seconds * (0.3 + 0.1 * who as f64)).sin();
                    let (x, y) = (0.5 + 0.4 * turn + step.stray, 0.3 + 0.15 * who as f64 + step.stray);
                    if is_tracked { known(who as i64 * 7 - 3, x, y) } else { person(x, y) }
                })
                .collect();
            if step.is_saved {
                reloaded.state = saved_and_loaded(&reloaded.state);
            }
            if step.is_moved {
                for scene in [&mut kept, &mut reloaded] {
                    scene.config = if scene.config.zones.is_empty() { full() } else { moved() };
                }
            }
            let (one, other) = (kept.try_see(seconds, &seen), reloaded.try_see(seconds, &seen));
            prop_assert!(one.is_ok(), "{one:?}");
            prop_assert_eq!(one, other, "frame {}", k);
        }
        prop_assert_eq!(kept.state.to_bytes(), reloaded.state.to_bytes());
    }

    #[test]
    fn foreign_bytes_are_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..400), as_ours: bool) {
        if let (true, Some(version)) = (as_ours, bytes.first_mut()) {
            *version = StreamState::default().to_bytes().expect("bytes")[0];
        }
        prop_assert!(StreamState::from_bytes(&bytes).is_err());
    }

    #[test]
    fn damaged_bytes_are_an_error(position in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut scene = Scene::new(full());
        scene.walk((0..30).map(|k| (0.3 + 0.01 * f64::from(k), 0.6)));
        let mut bytes = scene.state.to_bytes().expect("bytes");
        let position = position.index(bytes.len());
        bytes[position] ^= flip;
        prop_assert!(StreamState::from_bytes(&bytes).is_err());
        bytes[position] ^= flip;
        prop_assert!(StreamState::from_bytes(&bytes[..position]).is_err());
    }
}

#[test]
fn errors_of_a_saved_state_say_what_is_wrong_with_it() {
    assert_eq!(StreamState::from_bytes(&[]).expect_err("empty"), StateError::Empty);
    assert_eq!(StreamState::from_bytes(&[200, 1, 2]).expect_err("foreign"), StateError::Version(200));
    let mut bytes = StreamState::default().to_bytes().expect("bytes");
    bytes.push(0);
    assert!(matches!(StreamState::from_bytes(&bytes), Err(StateError::Corrupt(_))));
}

#[test]
fn the_state_of_twenty_tracks_is_small() {
    let mut scene = Scene::new(full());
    for k in 0..100 {
        let crowd: Vec<_> = (0..20)
            .map(|who| {
                person(
                    0.05 + 0.18 * f64::from(who % 5) + 0.001 * f64::from(k),
                    0.25 + 0.2 * f64::from(who / 5),
                )
            })
            .collect();
        assert_eq!(scene.see(&crowd).tracks.len(), if k < 2 { 0 } else { 20 });
    }
    let bytes = scene.state.to_bytes().expect("bytes").len();
    assert!(bytes < 10_000, "{bytes} bytes");
}

#[test]
fn frames_that_cannot_be_used_leave_the_state_as_it_was() {
    let mut scene = Scene::new(full());
    scene.walk(vec![(0.5, 0.6); 5]);
    let before = scene.state.to_bytes();
    let late = scene.try_see(0.2, &[person(0.5, 0.6)]);
    assert!(matches!(late, Err(StepError::Late { .. })), "{late:?}");
    let bad = [
        (person(f64::NAN, 0.5), "detection 1: its bbox lies outside the picture"),
        (person(5.0, 0.5), "detection 1: its bbox lies outside the picture"),
        (
            {
                let mut d = person(0.5, 0.5);
                d.bbox.w = -0.1;
                d
            },
            "detection 1: its bbox has a negative width",
        ),
        (
            {
                let mut d = person(0.5, 0.5);
                d.confidence = 1.5;
                d
            },
            "detection 1: its confidence is not within 0..1",
        ),
        (
            {
                let mut d = person(0.5, 0.5);
                d.confidence = f64::NAN;
                d
            },
            "detection 1: its confidence",
        ),
    ];
    for (detection, expected) in bad {
        let error =
            scene.try_see(9.0, &[person(0.5, 0.6), detection]).expect_err("a bad detection").to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let crowd = vec![person(0.5, 0.5); MAX_DETECTIONS + 1];
    assert_eq!(scene.try_see(9.0, &crowd).expect_err("a crowd"), StepError::TooManyDetections(501));
    let missing = scene.try_see(9.0, &[known(1, 0.5, 0.5), person(0.5, 0.5)]).expect_err("no identity");
    assert_eq!(missing.to_string(), "detection 1: it has no track_id; tracked detections need one each");
    let twice =
        scene.try_see(9.0, &[known(1, 0.5, 0.5), known(1, 0.6, 0.5)]).expect_err("one identity, two places");
    assert_eq!(twice.to_string(), "detection 1: its track_id is used twice in the frame");
    assert_eq!(scene.state.to_bytes(), before);
    assert_eq!(scene.state.latest(), Some(Timestamp(1_700_000_000_500_000)));
}

#[test]
fn the_worst_frames_stay_bounded() {
    // As many as may be, all in one place, in every frame elsewhere.
    let mut scene = Scene::new(full());
    for k in 0..12 {
        let place = 0.1 + 0.07 * f64::from(k);
        let crowd: Vec<_> = (0..MAX_DETECTIONS).map(|n| person(place + 1e-5 * n as f64, 0.5)).collect();
        let outcome = scene.see(&crowd);
        assert!(outcome.tracks.len() <= camcount_vision::track::MAX_TRACKS);
    }
    saved_and_loaded(&scene.state);
}
