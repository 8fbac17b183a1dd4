use camcount_vision::count::line::{Crossing, Direction};
use camcount_vision::stream::FrameOutcome;
use serde_json::json;

use crate::scene::{Scene, at, door, known, person, pipeline, straight};

fn crossings(outcomes: Vec<FrameOutcome>) -> Vec<Crossing> {
    outcomes.into_iter().flat_map(|o| o.crossings).collect()
}

fn directions(outcomes: Vec<FrameOutcome>) -> Vec<Direction> {
    crossings(outcomes).iter().map(|c| c.direction).collect()
}

const DOWN: [(f64, f64); 2] = [(0.5, 0.3), (0.5, 0.7)];

fn down() -> Vec<(f64, f64)> {
    straight(DOWN[0], DOWN[1], 21)
}

fn up() -> Vec<(f64, f64)> {
    straight(DOWN[1], DOWN[0], 21)
}

#[test]
fn the_right_hand_side_seen_from_start_to_end_is_in() {
    // (end−start)×(p−start) > 0 with y down: below a line that runs left to right.
    let mut scene = Scene::new(door(json!({})));
    let found = crossings(scene.walk(down()));
    assert_eq!(found.len(), 1, "{found:?}");
    let crossing = &found[0];
    assert_eq!((crossing.direction, crossing.label.as_str()), (Direction::In, "in"));
    assert_eq!((crossing.line.as_str(), crossing.track_id, crossing.sequence), ("door", 1, 1));
    assert!((crossing.point.y - 0.5).abs() < 1e-9 && (crossing.point.x - 0.5).abs() < 0.01, "{crossing:?}");

    assert_eq!(directions(Scene::new(door(json!({}))).walk(up())), [Direction::Out]);
    let turned = door(json!({"from": [1, 0.5], "to": [0, 0.5]}));
    assert_eq!(directions(Scene::new(turned).walk(down())), [Direction::Out]);
}

#[test]
fn directions_are_named_by_the_line() {
    let mut scene = Scene::new(door(json!({"in": "enter", "out": "leave"})));
    let mut path = down();
    path.extend(up());
    let labels: Vec<String> = crossings(scene.walk(path)).into_iter().map(|c| c.label).collect();
    assert_eq!(labels, ["enter", "leave"]);
}

#[test]
fn a_crossing_is_decided_by_the_last_of_the_confirming_frames() {
    for confirm_frames in [1, 3, 6] {
        let mut scene = Scene::new(door(json!({"confirm_frames": confirm_frames})));
        let found = crossings(scene.walk(down()));
        let waited = found[0].timestamp.seconds_since(found[0].crossed_at);
        assert!((waited - 0.1 * f64::from(confirm_frames - 1)).abs() < 1e-6, "{confirm_frames}: {waited}");
        assert!(found[0].crossed_at > at(1.0) && found[0].crossed_at < at(1.5));
    }
}

#[test]
fn a_foot_that_wavers_about_the_line_does_not_cross_it() {
    // Somebody walks along the line; the detected foot strays by 2 % of the box's height.
    let mut scene = Scene::new(door(json!({})));
    let path = (0..80).map(|k| {
        let stray = [0.004, 0.004, 0.004, 0.004, -0.004, -0.004, -0.004, -0.004][k % 8];
        (0.1 + 0.01 * k as f64, 0.5 + stray)
    });
    assert!(directions(scene.walk(path)).is_empty());
}

#[test]
fn turning_back_within_the_confirming_frames_is_no_crossing() {
    let mut scene = Scene::new(door(json!({"confirm_frames": 5})));
    let mut path = straight((0.5, 0.3), (0.5, 0.52), 12);
    path.extend(straight((0.5, 0.52), (0.5, 0.3), 12));
    assert!(directions(scene.walk(path)).is_empty());
}

#[test]
fn only_the_finite_segment_counts() {
    let short = |from, to| door(json!({"from": [from, 0.5], "to": [to, 0.5]}));
    assert_eq!(directions(Scene::new(short(0.4, 0.6)).walk(down())).len(), 1);
    assert!(directions(Scene::new(short(0.6, 0.9)).walk(down())).is_empty());
    assert!(directions(Scene::new(short(0.1, 0.4)).walk(down())).is_empty());
}

#[test]
fn a_track_that_is_not_confirmed_never_counts() {
    let mut config = door(json!({"confirm_frames": 1}));
    config.tracker.confirm_frames = 100;
    assert!(directions(Scene::new(config).walk(down())).is_empty());
}

#[test]
fn rearming_decides_whether_a_track_counts_again() {
    let there_and_back = |rearm: serde_json::Value| {
        let mut scene = Scene::new(door(json!({"rearm": rearm})));
        let paths = [down(), up(), down()].concat();
        crossings(scene.walk(paths)).iter().map(|c| (c.sequence, c.direction)).collect::<Vec<_>>()
    };
    use Direction::{In, Out};
    assert_eq!(there_and_back(json!("each_time")), [(1, In), (2, Out), (3, In)]);
    assert_eq!(there_and_back(json!("once")), [(1, In)]);
    // A leg takes 2.1 seconds.
    assert_eq!(there_and_back(json!({"cooldown_seconds": 1})), [(1, In), (2, Out), (3, In)]);
    assert_eq!(there_and_back(json!({"cooldown_seconds": 3})), [(1, In), (2, In)]);
}

#[test]
fn somebody_hidden_while_crossing_counts_when_seen_on_the_other_side() {
    let mut scene = Scene::new(door(json!({})));
    let path = straight((0.5, 0.3), (0.5, 0.7), 41);
    let mut found = scene.walk(path[..18].to_vec());
    found.extend(scene.empty(6));
    found.extend(scene.walk(path[24..].to_vec()));
    let found = crossings(found);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].track_id, found[0].direction), (1, Direction::In));
}

#[test]
fn lines_may_count_some_classes_only() {
    let mut scene = Scene::new(door(json!({"classes": ["car"]})));
    assert!(directions(scene.walk(down())).is_empty());
}

#[test]
fn the_anchor_may_be_the_middle_of_the_box() {
    // The foot crosses half the height, the middle of the box, 0.1 above it, does not.
    let path = || straight((0.5, 0.4), (0.5, 0.58), 30);
    assert_eq!(directions(Scene::new(door(json!({}))).walk(path())).len(), 1);
    assert!(directions(Scene::new(door(json!({"anchor": "center"}))).walk(path())).is_empty());
}

#[test]
fn a_line_that_is_moved_starts_afresh_and_repeats_no_sequence() {
    let mut scene = Scene::new(door(json!({})));
    let first = crossings(scene.walk(down()));
    let lower = json!({"lines": [{"name": "door", "from": [0, 0.65], "to": [1, 0.65]}]});
    scene.config = pipeline(lower);
    // It stands below the new line, which it has not been seen to cross.
    assert!(crossings(scene.walk(straight((0.5, 0.7), (0.5, 0.8), 8))).is_empty());
    let second = crossings(scene.walk(straight((0.5, 0.8), (0.5, 0.5), 21)));
    assert_eq!(second.len(), 1);
    assert_eq!((first[0].track_id, second[0].track_id), (1, 1));
    assert_ne!(first[0].sequence, second[0].sequence);
}

#[test]
fn lines_that_stay_keep_their_state_while_others_come_and_go() {
    let mut scene = Scene::new(door(json!({})));
    let path = down();
    assert!(crossings(scene.walk(path[..9].to_vec())).is_empty());
    let other = json!({"name": "other", "from": [0, 0.9], "to": [1, 0.9]});
    scene.config = pipeline(json!({"lines": [other, {"name": "door", "from": [0, 0.5], "to": [1, 0.5]}]}));
    let found = crossings(scene.walk(path[9..].to_vec()));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].line, "door");
}

#[test]
fn an_identity_that_an_edge_device_uses_again_repeats_no_sequence() {
    let mut scene = Scene::new(door(json!({})));
    let mut sequences = Vec::new();
    for _ in 0..3 {
        for (x, y) in down() {
            sequences.extend(scene.see(&[known(7, x, y)]).crossings.iter().map(|c| (c.track_id, c.sequence)));
        }
        scene.empty(100);
    }
    assert_eq!(sequences, [(7, 1), (7, 2), (7, 3)]);
}

#[test]
fn two_who_cross_at_once_both_count() {
    let mut scene = Scene::new(door(json!({})));
    let mut found = Vec::new();
    for ((x, y), (_, back)) in down().into_iter().zip(up()) {
        found.extend(scene.see(&[person(x - 0.2, y), person(x + 0.2, back)]).crossings);
    }
    let mut both: Vec<Direction> = found.iter().map(|c| c.direction).collect();
    both.sort_by_key(|d| *d == Direction::Out);
    assert_eq!(both, [Direction::In, Direction::Out]);
}
