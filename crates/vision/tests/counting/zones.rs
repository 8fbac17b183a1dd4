use camcount_vision::count::zone::{ZoneChange, ZoneEvent};
use camcount_vision::pipeline::PipelineConfig;
use serde_json::{Value, json};

use crate::scene::{FRAME, Scene, at, person, pipeline, straight};

/// The zone `hall`: the picture's right half.
fn hall(options: Value) -> PipelineConfig {
    let mut zone = json!({"name": "hall", "polygon": [[0.5, 0], [1, 0], [1, 1], [0.5, 1]]});
    for (key, value) in options.as_object().expect("an object") {
        zone[key] = value.clone();
    }
    pipeline(json!({"zones": [zone]}))
}

fn events(outcomes: &[camcount_vision::stream::FrameOutcome]) -> Vec<ZoneEvent> {
    outcomes.iter().flat_map(|o| o.zone_events.clone()).collect()
}

#[test]
fn a_visit_has_its_first_and_last_sighting_inside_as_its_times() {
    let mut scene = Scene::new(hall(json!({"exit_seconds": 0.5})));
    let mut path = vec![(0.3, 0.6); 10];
    path.extend(straight((0.3, 0.6), (0.7, 0.6), 21));
    path.extend(vec![(0.7, 0.6); 30]);
    path.extend(straight((0.7, 0.6), (0.3, 0.6), 21));
    let found = events(&scene.walk(path));
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0].change, ZoneChange::Entered);
    assert_eq!((found[0].track_id, found[0].sequence, found[1].sequence), (1, 1, 1));
    let ZoneChange::Left { left_at, dwell_seconds } = found[1].change else {
        panic!("not left: {:?}", found[1]);
    };
    assert_eq!(found[1].entered_at, found[0].entered_at);
    assert!((left_at.seconds_since(found[0].entered_at) - dwell_seconds).abs() < 1e-9);
    // Inside from frame 22 of the path or so to frame 71 or so.
    assert!((dwell_seconds - 4.9).abs() < 0.35, "{dwell_seconds}");
    assert!((found[1].timestamp.seconds_since(left_at) - 0.6).abs() < 0.01, "exit_seconds after leaving");
}

#[test]
fn occupancy_is_told_with_every_frame_also_when_it_is_0() {
    let mut scene = Scene::new(hall(json!({})));
    let outcomes = scene.empty(5);
    assert!(outcomes.iter().all(|o| o.occupancy.len() == 1 && o.occupancy[0].occupancy == 0));
    let outcomes = scene.walk(vec![(0.7, 0.6); 10]);
    let counts: Vec<u32> = outcomes.iter().map(|o| o.occupancy[0].occupancy).collect();
    assert_eq!(counts, [0, 0, 1, 1, 1, 1, 1, 1, 1, 1]);
}

#[test]
fn a_step_outside_shorter_than_exit_seconds_does_not_end_the_visit() {
    let mut scene = Scene::new(hall(json!({"exit_seconds": 1.5})));
    let mut path = vec![(0.53, 0.6); 20];
    path.extend(straight((0.53, 0.6), (0.47, 0.6), 7));
    path.extend(straight((0.47, 0.6), (0.53, 0.6), 7));
    path.extend(vec![(0.53, 0.6); 20]);
    let found = events(&scene.walk(path));
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn a_visit_ends_with_its_track_at_the_last_sighting() {
    let mut scene = Scene::new(hall(json!({})));
    scene.walk(vec![(0.7, 0.6); 20]);
    let last_seen = at(scene.seconds);
    let hidden = scene.empty(5);
    assert_eq!(hidden[4].occupancy[0].occupancy, 1, "who is hidden for a moment is still there");
    let found = events(&scene.empty(100));
    assert_eq!(found.len(), 1);
    let ZoneChange::Left { left_at, dwell_seconds } = found[0].change else {
        panic!("not left: {:?}", found[0]);
    };
    assert_eq!(left_at, last_seen);
    assert!((dwell_seconds - 19.0 * FRAME).abs() < 1e-6);
    assert_eq!(scene.empty(1)[0].occupancy[0].occupancy, 0);
}

#[test]
fn visits_end_where_their_zone_is_taken_away_or_moved() {
    let mut scene = Scene::new(hall(json!({})));
    scene.walk(vec![(0.9, 0.6); 20]);
    scene.config = hall(json!({"polygon": [[0.6, 0], [1, 0], [1, 1]]}));
    let moved = scene.see(&[person(0.9, 0.6)]);
    assert!(matches!(moved.zone_events[0].change, ZoneChange::Left { .. }));
    let again = events(&scene.walk(vec![(0.9, 0.6); 20]));
    assert_eq!((again.len(), again[0].track_id), (1, moved.zone_events[0].track_id));
    assert!(again[0].sequence > moved.zone_events[0].sequence);
    scene.config = pipeline(json!({}));
    let gone = scene.see(&[]);
    assert_eq!((gone.zone_events.len(), gone.occupancy.len()), (1, 0));
}

#[test]
fn overcrowding_is_occupancy_held_for_a_while() {
    let mut scene = Scene::new(hall(json!({"overcrowding": {"occupancy": 2, "seconds": 1}})));
    let two = [person(0.6, 0.5), person(0.8, 0.5)];
    let outcomes: Vec<_> = (0..30).map(|_| scene.see(&two)).collect();
    let starts: Vec<usize> = (0..30).filter(|&k| !outcomes[k].overcrowding.is_empty()).collect();
    // Both have entered with the third frame; one second is ten frames.
    assert_eq!(starts, [12]);
    let start = &outcomes[12].overcrowding[0];
    assert!(start.is_start && start.occupancy == 2 && start.since == at(0.3), "{start:?}");
    assert!(outcomes[20].occupancy[0].is_overcrowded);

    let outcomes: Vec<_> = (0..100).map(|_| scene.see(&two[..1])).collect();
    let ends: Vec<_> = outcomes.iter().flat_map(|o| &o.overcrowding).collect();
    assert_eq!(ends.len(), 1);
    assert!(!ends[0].is_start && ends[0].occupancy == 1);
}

#[test]
fn a_polygon_may_be_concave() {
    let corner = json!({"polygon": [[0, 0], [1, 0], [1, 1], [0.8, 1], [0.8, 0.2], [0, 0.2]]});
    let inside = |x, y| !events(&Scene::new(hall(corner.clone())).walk(vec![(x, y); 10])).is_empty();
    assert!(inside(0.5, 0.1) && inside(0.9, 0.9));
    assert!(!inside(0.5, 0.5));
}
