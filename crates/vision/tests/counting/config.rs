use std::sync::Arc;

use camcount_vision::pipeline::{PipelineConfig, PipelineType, Rearm};
use serde_json::{Value, json};

fn refusal(config: Value) -> String {
    PipelineConfig::from_json(&config).expect_err("to be refused").to_string()
}

fn line(change: Value) -> Value {
    changed(json!({"name": "a", "from": [0, 0.5], "to": [1, 0.5]}), change, "lines")
}

fn zone(change: Value) -> Value {
    changed(json!({"name": "z", "polygon": [[0, 0], [1, 0], [1, 1]]}), change, "zones")
}

fn changed(mut object: Value, change: Value, list: &str) -> Value {
    for (key, value) in change.as_object().expect("an object") {
        object[key] = value.clone();
    }
    json!({ list: [object] })
}

#[test]
fn everything_has_a_default_but_geometry() {
    let config = PipelineConfig::from_json(&json!({})).expect("valid");
    assert_eq!(config, PipelineConfig::default());
    assert_eq!(config.classes, [Arc::from("person")]);
    assert!(config.serves("any camera"));
    let config = PipelineConfig::from_json(&line(json!({"rearm": {"cooldown_seconds": 5}}))).expect("valid");
    assert_eq!((config.lines[0].confirm_frames, config.lines[0].rearm), (3, Rearm::CooldownSeconds(5.0)));
}

#[test]
fn a_configuration_survives_being_written_and_read() {
    let value = json!({
        "cameras": ["c1"], "model": "yolox", "classes": [], "score_threshold": 0.4,
        "tracker": {"lost_seconds": 3},
        "lines": [{"name": "door", "from": [0.1, 0.2], "to": [0.3, 0.4], "anchor": "center", "confirm_frames": 2,
                   "rearm": "once", "in": "enter", "out": "leave", "classes": ["car"]}],
        "zones": [{"name": "hall", "polygon": [[0, 0], [1, 0], [1, 1]], "enter_frames": 4, "exit_seconds": 2,
                   "overcrowding": {"occupancy": 10, "seconds": 5}}],
        "density": {"columns": 8, "rows": 6, "half_life_seconds": 30},
        "outputs": {"timeseries": false, "counters": false, "events": ["zone_left"], "interval_seconds": 5},
    });
    let config = PipelineConfig::from_json(&value).expect("valid");
    assert!(config.serves("c1") && !config.serves("c2"));
    assert!(config.wants_class("bicycle"));
    let written = serde_json::to_value(&config).expect("JSON");
    assert_eq!(PipelineConfig::from_json(&written), Ok(config));
}

#[test]
fn the_pipelines_score_threshold_wins_over_the_models() {
    let threshold = |config: Value| PipelineConfig::from_json(&config).expect("valid").thresholds(0.6).high;
    assert_eq!(threshold(json!({})), 0.6);
    assert_eq!(threshold(json!({"score_threshold": 0.3})), 0.3);
}

#[test]
fn refusals_name_the_key_and_what_would_be_right() {
    let long = "x".repeat(101);
    let cases = [
        (json!({"colour": 1}), "colour: unknown field `colour`, expected one of `cameras`, `model`"),
        (json!([]), ".: is no JSON object"),
        (json!({"cameras": []}), "cameras: is empty"),
        (json!({"cameras": "*"}), "cameras: invalid type"),
        (json!({"model": ""}), "model: has 0 characters; use 1 to 100"),
        (json!({"classes": [long]}), "classes[0]: has 101 characters; use 1 to 100"),
        (json!({"score_threshold": 40}), "score_threshold: is 40; use a number from 0 to 1"),
        (json!({"tracker": {"patience": 1}}), "tracker.patience: unknown field"),
        (json!({"tracker": {"lost_seconds": -1}}), "tracker.lost_seconds: is -1; use a number from 0"),
        (json!({"tracker": {"position_noise": 0}}), "tracker.position_noise: is 0"),
        (line(json!({"name": "two\nlines"})), "lines[0].name: contains a control character"),
        (line(json!({"width": 2})), "lines[0].width: unknown field"),
        (line(json!({"to": [0, 0.5]})), "lines[0].to: is the same point as \"from\""),
        (line(json!({"to": [1.5, 0.5]})), "lines[0].to: [1.5, 0.5] is outside the picture"),
        (line(json!({"from": [0.1]})), "lines[0].from"),
        (line(json!({"from": [0.1, "x"]})), "lines[0].from"),
        (line(json!({"confirm_frames": 0})), "lines[0].confirm_frames: is 0; use a whole number from 1"),
        (line(json!({"confirm_frames": 1.5})), "lines[0].confirm_frames: invalid type"),
        (
            line(json!({"rearm": "never"})),
            "lines[0].rearm: unknown variant `never`, expected one of `each_time`",
        ),
        (line(json!({"rearm": {"cooldown_seconds": -5}})), "lines[0].rearm.cooldown_seconds: is -5"),
        (line(json!({"out": "in"})), "lines[0].out: is \"in\" as \"in\" is"),
        (line(json!({"anchor": "head"})), "lines[0].anchor: unknown variant"),
        (
            zone(json!({"polygon": [[0, 0], [1, 1]]})),
            "zones[0].polygon: has 2 points; a polygon needs at least 3",
        ),
        (zone(json!({"polygon": [[0, 0], [0.5, 0.5], [1, 1]]})), "zones[0].polygon: encloses no area"),
        (zone(json!({"polygon": [[0, 0], [1, 0], [2, 1]]})), "zones[0].polygon[2]: [2, 1] is outside"),
        (
            zone(json!({"exit_seconds": 1e9})),
            "zones[0].exit_seconds: is 1000000000; use a number from 0 to 86400",
        ),
        (zone(json!({"overcrowding": {"occupancy": 0}})), "zones[0].overcrowding.occupancy: is 0"),
        (zone(json!({"overcrowding": {"count": 1}})), "zones[0].overcrowding.count: unknown field"),
        (
            json!({"density": {"columns": 100_000}}),
            "density.columns: is 100000; use a whole number from 1 to 128",
        ),
        (json!({"outputs": {"events": ["rain"]}}), "outputs.events[0]: unknown variant `rain`"),
        (json!({"outputs": {"interval_seconds": -1}}), "outputs.interval_seconds"),
    ];
    for (config, expected) in cases {
        let message = refusal(config.clone());
        assert!(message.contains(expected), "{config}: {message:?} lacks {expected:?}");
    }
}

#[test]
fn lists_are_bounded_and_names_unique() {
    let line = |name: String| json!({"name": name, "from": [0, 0], "to": [1, 1]});
    let twice = json!({"lines": [line("a".into()), line("b".into()), line("a".into())]});
    assert_eq!(refusal(twice), "lines[2].name: \"a\" is used twice; names must differ");
    let many: Vec<Value> = (0..65).map(|k| line(k.to_string())).collect();
    assert_eq!(refusal(json!({ "lines": many })), "lines: has 65 entries; at most 64 are allowed");
    let round: Vec<[f64; 2]> = (0..257).map(|k| f64::from(k) / 257.0).map(|a| [a, a * a]).collect();
    let zones = json!({"zones": [{"name": "z", "polygon": round}]});
    assert_eq!(refusal(zones), "zones[0].polygon: has 257 entries; at most 256 are allowed");
}

#[test]
fn pipeline_types_are_ordered_stages() {
    let stage = |name: &str| name.parse::<PipelineType>();
    let names = ["detection", "tracking", "counting", "analytics"];
    let stages: Vec<PipelineType> = names.iter().map(|name| stage(name).expect("a stage")).collect();
    assert!(stages.is_sorted_by(|a, b| a < b), "{stages:?}");
    let unknown = stage("video").expect_err("no such type").to_string();
    assert_eq!(
        unknown,
        "pipeline type \"video\" does not exist; use detection, tracking, counting or analytics"
    );
}
