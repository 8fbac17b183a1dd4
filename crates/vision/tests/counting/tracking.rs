use camcount_vision::pipeline::PipelineType;
use camcount_vision::stream::{FrameOutcome, Observation, ObservationKind, StreamState};
use camcount_vision::track::MAX_TRAJECTORY;
use serde_json::json;

use crate::scene::{SCORE, Scene, at, known, person, pipeline, straight};

fn watched() -> Scene {
    Scene::new(pipeline(json!({})))
}

fn ids(outcome: &FrameOutcome) -> Vec<i64> {
    outcome.tracks.iter().map(|t| t.id).collect()
}

#[test]
fn identities_start_at_1_and_keep_to_their_people() {
    let mut scene = watched();
    for (left, right) in
        straight((0.1, 0.5), (0.9, 0.5), 60).into_iter().zip(straight((0.9, 0.9), (0.1, 0.9), 60))
    {
        let outcome = scene.see(&[person(left.0, left.1), person(right.0, right.1)]);
        for track in &outcome.tracks {
            let expected = if track.id == 1 { left } else { right };
            assert!((track.bbox.bottom_center().x - expected.0).abs() < 0.02, "{track:?}");
        }
        assert!(ids(&outcome).iter().all(|id| [1, 2].contains(id)));
    }
}

#[test]
fn a_track_counts_from_its_confirmation() {
    let mut scene = watched();
    let confirm = scene.config.tracker.confirm_frames as usize;
    let counts: Vec<usize> = scene.walk(vec![(0.5, 0.5); 6]).iter().map(|o| o.tracks.len()).collect();
    let expected: Vec<usize> = (1..=6).map(|frame| usize::from(frame >= confirm)).collect();
    assert_eq!(counts, expected);
}

#[test]
fn velocity_is_in_picture_sizes_per_second_whatever_the_frame_rate() {
    for rate in [5.0, 10.0, 15.0, 30.0] {
        let mut scene = watched();
        let mut outcome = FrameOutcome::default();
        for frame in 0..(4.0 * rate) as usize {
            let seconds = frame as f64 / rate;
            outcome = scene
                .try_see(seconds, &[person(0.2 + 0.1 * seconds, 0.9 - 0.05 * seconds)])
                .expect("a frame");
        }
        let velocity = outcome.tracks[0].velocity;
        assert!(
            (velocity.x - 0.1).abs() < 0.005 && (velocity.y + 0.05).abs() < 0.005,
            "{rate}: {velocity:?}"
        );
        let foot = outcome.tracks[0].bbox.bottom_center();
        assert!((outcome.tracks[0].predicted_foot.x - foot.x - velocity.x).abs() < 1e-12);
    }
}

#[test]
fn who_is_hidden_is_predicted_and_found_again() {
    let mut scene = watched();
    scene.walk(straight((0.1, 0.6), (0.5, 0.6), 41));
    let hidden = scene.empty(5);
    let track = &hidden[4].tracks[0];
    assert_eq!((track.is_seen, track.occluded_frames), (false, 5));
    assert!((track.bbox.bottom_center().x - 0.55).abs() < 0.01, "{track:?}");
    let found = scene.walk(straight((0.56, 0.6), (0.6, 0.6), 5));
    assert!(found.iter().all(|o| ids(o) == [1]));
}

#[test]
fn a_track_ends_after_lost_seconds_whatever_the_number_of_frames() {
    for gap in [0.05, 0.5] {
        let mut scene = watched();
        scene.walk(vec![(0.5, 0.5); 10]);
        let last_seen = scene.seconds;
        let patience = scene.config.tracker.lost_seconds;
        let mut seconds = last_seen;
        loop {
            seconds += gap;
            let outcome = scene.try_see(seconds, &[]).expect("a frame");
            assert_eq!(outcome.ended.len(), usize::from(seconds - last_seen > patience + 1e-3), "{seconds}");
            if let [ended] = &outcome.ended[..] {
                assert_eq!((ended.id, ended.frames, ended.last_seen), (1, 10, at(last_seen)));
                break;
            }
        }
    }
}

#[test]
fn a_gap_of_any_length_and_two_frames_at_one_time_are_taken() {
    let mut scene = watched();
    scene.walk(vec![(0.5, 0.5); 5]);
    let seconds = scene.seconds;
    assert_eq!(ids(&scene.try_see(seconds, &[person(0.5, 0.5)]).expect("the same time")), [1]);
    let later = scene.try_see(1e9, &[person(0.5, 0.5)]).expect("decades later");
    assert_eq!((later.tracks.len(), later.ended.len()), (0, 1));
}

#[test]
fn doubtful_detections_prolong_tracks_but_start_none() {
    let doubtful = |x: f64| {
        let mut detection = person(x, 0.5);
        detection.confidence = 0.2;
        detection
    };
    let mut scene = watched();
    assert!((0..20).all(|_| scene.see(&[doubtful(0.3)]).tracks.is_empty()));
    scene.walk(vec![(0.7, 0.5); 5]);
    assert!((0..20).all(|_| scene.see(&[doubtful(0.7)]).tracks[0].is_seen));
}

#[test]
fn only_the_pipelines_classes_are_tracked() {
    let mut dog = person(0.3, 0.5);
    dog.class = "dog".into();
    let both = [person(0.7, 0.5), dog];
    let classes = |config| {
        let mut scene = Scene::new(pipeline(config));
        let outcome = (0..5).map(|_| scene.see(&both)).last().expect("frames");
        outcome.tracks.iter().map(|t| t.class.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(classes(json!({})), ["person"]);
    assert_eq!(classes(json!({"classes": ["dog"]})), ["dog"]);
    assert_eq!(classes(json!({"classes": []})), ["person", "dog"]);
}

#[test]
fn classes_do_not_mix() {
    let mut scene = Scene::new(pipeline(json!({"classes": []})));
    scene.walk(vec![(0.5, 0.5); 5]);
    let mut car = person(0.5, 0.5);
    car.class = "car".into();
    assert!(!scene.see(&[car]).tracks[0].is_seen);
}

#[test]
fn the_trajectory_keeps_the_latest_points() {
    let mut scene = watched();
    let outcomes = scene.walk(straight((0.1, 0.6), (0.9, 0.6), 100));
    let points: Vec<f64> = outcomes[99].tracks[0].trajectory.points().map(|p| p.x).collect();
    assert_eq!(points.len(), MAX_TRAJECTORY);
    assert!(points.is_sorted() && (points[MAX_TRAJECTORY - 1] - 0.9).abs() < 0.01, "{points:?}");
}

#[test]
fn identities_of_an_edge_device_are_used_as_they_are() {
    let mut scene = watched();
    // They may jump, which association would not follow.
    for k in 0..10 {
        let x = if k % 2 == 0 { 0.1 } else { 0.9 };
        assert_eq!(ids(&scene.see(&[known(42, x, 0.5), known(-7, 1.0 - x, 0.5)])), [42, -7]);
    }
}

#[test]
fn each_pipeline_type_does_its_part_and_those_before_it() {
    let config = pipeline(json!({
        "lines": [{"name": "a", "from": [0, 0.5], "to": [1, 0.5]}],
        "zones": [{"name": "z", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}],
        "density": {},
    }));
    let parts = |stage: PipelineType| {
        let mut state = StreamState::default();
        let mut found = [false; 4];
        for (k, (x, y)) in straight((0.5, 0.3), (0.5, 0.7), 21).into_iter().enumerate() {
            let detections = [person(x, y)];
            let timestamp = at(0.1 * k as f64);
            let observation =
                Observation { timestamp, detections: &detections, kind: ObservationKind::Detected };
            let o = state.step(stage, &config, config.thresholds(SCORE), &observation).expect("a frame");
            let parts = [
                !o.tracks.is_empty(),
                !o.crossings.is_empty(),
                !o.occupancy.is_empty(),
                !o.density.is_empty(),
            ];
            found = std::array::from_fn(|i| found[i] || parts[i]);
        }
        found
    };
    assert_eq!(parts(PipelineType::Detection), [false; 4]);
    assert_eq!(parts(PipelineType::Tracking), [true, false, false, false]);
    assert_eq!(parts(PipelineType::Counting), [true, true, true, false]);
    assert_eq!(parts(PipelineType::Analytics), [true; 4]);
}

#[test]
fn identities_go_on_after_a_state_was_lost() {
    let mut scene = watched();
    scene.state = StreamState::starting_after(99);
    assert_eq!(ids(&scene.walk(vec![(0.5, 0.5); 5])[4]), [100]);
    assert_eq!(scene.state.last_track_id(), 100);
}
