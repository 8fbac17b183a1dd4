use camcount_vision::stream::FrameOutcome;
use serde_json::json;

use crate::scene::{FRAME, Scene, person, pipeline};

fn watched() -> Scene {
    Scene::new(pipeline(json!({"density": {"columns": 10, "rows": 5, "half_life_seconds": 10}})))
}

fn person_seconds(outcomes: &[FrameOutcome]) -> f64 {
    outcomes.iter().flat_map(|o| &o.density).map(|cell| cell.person_seconds).sum()
}

#[test]
fn standing_adds_up_to_person_seconds_in_one_cell() {
    let mut scene = watched();
    let outcomes = scene.walk(vec![(0.55, 0.9); 101]);
    assert!(outcomes.iter().flat_map(|o| &o.density).all(|c| (c.column, c.row) == (5, 4)));
    // The two frames before the track is confirmed do not count.
    assert!((person_seconds(&outcomes) - 99.0 * FRAME).abs() < 1e-6);
}

#[test]
fn heat_halves_with_every_half_life() {
    let mut scene = watched();
    let before = scene.walk(vec![(0.55, 0.9); 50]).pop().expect("frames").density[0].heat;
    scene.empty(100);
    let outcomes = scene.walk(vec![(0.55, 0.9); 3]);
    let cell = outcomes[2].density[0];
    let expected = before * (-103.0 * FRAME / 10.0).exp2();
    assert!((cell.heat - cell.person_seconds - expected).abs() < 1e-9, "{cell:?}, {expected}");
}

#[test]
fn two_in_one_cell_add_up() {
    let mut scene = watched();
    let two = [person(0.52, 0.9), person(0.58, 0.9)];
    let outcomes: Vec<FrameOutcome> = (0..10).map(|_| scene.see(&two)).collect();
    assert_eq!(outcomes[9].density.len(), 1);
    assert!((outcomes[9].density[0].person_seconds - 2.0 * FRAME).abs() < 1e-6);
}

#[test]
fn who_is_hidden_has_stood_where_he_is_seen_again() {
    let mut scene = watched();
    scene.walk(vec![(0.55, 0.9); 20]);
    assert_eq!(person_seconds(&scene.empty(4)), 0.0);
    assert!((person_seconds(&[scene.see(&[person(0.55, 0.9)])]) - 5.0 * FRAME).abs() < 1e-6);
}
