use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::geometry::BBox;

fn row<'a>(name: &'a str, order: i32, kind: &'a str, config: &'a Value) -> StepRow<'a> {
    StepRow {
        step_name: name,
        step_order: order,
        step_type: kind,
        step_config: Some(config),
        step_conditions: None,
        is_active: true,
        is_required: true,
    }
}

fn step(name: &str, order: i32, kind: &str, config: Value) -> ProcessingStep {
    ProcessingStep::parse(&row(name, order, kind, &config)).expect("a valid step")
}

fn refusal(kind: &str, config: Value) -> String {
    ProcessingStep::parse(&row("s", 1, kind, &config)).expect_err("to be refused").to_string()
}

fn seen(class: &str, confidence: f64, bbox: [f64; 4]) -> Detection {
    Detection { class: Arc::from(class), confidence, bbox: BBox::from(bbox), track_id: None }
}

fn street() -> FrameData {
    FrameData {
        data_type: DataType::Frame,
        frame_number: 6,
        detections: vec![
            seen("person", 0.9, [0.1, 0.1, 0.1, 0.2]),
            seen("person", 0.5, [0.7, 0.1, 0.1, 0.2]),
            seen("car", 0.8, [0.5, 0.5, 0.4, 0.4]),
        ],
        metrics: BTreeMap::new(),
    }
}

#[test]
fn a_filter_keeps_what_meets_all_of_its_rules() {
    let cases = [
        (json!({}), 3),
        (json!({"min_confidence": 0.6}), 2),
        (json!({"classes": ["person"]}), 2),
        (json!({"classes": ["person"], "min_confidence": 0.6}), 1),
        (json!({"min_area": 0.1}), 1),
        (json!({"max_area": 0.1}), 2),
        (json!({"region": [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]}), 1),
    ];
    for (config, kept) in cases {
        let mut frame = street();
        let outcomes = run(&[step("f", 1, "filter", config.clone())], &mut frame);
        assert_eq!(frame.detections.len(), kept, "{config}");
        assert_eq!(outcomes[0].output, json!({"kept": kept, "dropped": 3 - kept}), "{config}");
    }
}

#[test]
fn a_transform_renames_scales_and_clips() {
    let mut frame = street();
    let config = json!({"rename_classes": {"car": "vehicle"}, "scale_boxes": 2.0, "clip": true});
    run(&[step("t", 1, "transform", config)], &mut frame);
    assert_eq!(&*frame.detections[2].class, "vehicle");
    let b = frame.detections[2].bbox;
    let expected = [0.3, 0.3, 0.7, 0.7];
    assert!(<[f64; 4]>::from(b).iter().zip(expected).all(|(a, e)| (a - e).abs() < 1e-9), "{b:?}");
}

#[test]
fn aggregates_are_handed_on_by_outputs() {
    let mut frame = street();
    let steps = [
        step("n", 1, "aggregate", json!({"aggregation": "count", "metric": "seen", "by_class": true})),
        step("o", 2, "output", json!({"target": "timeseries", "metric": "seen", "name": "street"})),
    ];
    let outcomes = run(&steps, &mut frame);
    let values: Vec<(&str, f64)> = outcomes[1].values.iter().map(|v| (v.name.as_str(), v.value)).collect();
    assert_eq!(values, [("street.car", 1.0), ("street.person", 2.0)]);
}

#[test]
fn a_mean_of_nothing_has_no_value_and_a_count_of_nothing_is_0() {
    let mut frame = FrameData { detections: Vec::new(), ..street() };
    let aggregate =
        |name, kind: &str| step(name, 1, "aggregate", json!({"aggregation": kind, "metric": name}));
    run(&[aggregate("mean", "mean_confidence"), aggregate("count", "count")], &mut frame);
    assert_eq!(frame.metrics, BTreeMap::from([("count".to_owned(), Some(0.0)), ("mean".to_owned(), None)]));
}

#[test]
fn an_output_without_its_aggregate_fails_the_frame_where_it_is_required() {
    let mut output = step("o", 1, "output", json!({"target": "event", "metric": "missing"}));
    let filter = step("f", 2, "filter", json!({}));
    let outcomes = run(&[output.clone(), filter.clone()], &mut street());
    assert_eq!(outcomes[0].status, StepStatus::Failed);
    assert!(outcomes[0].fails_frame);
    assert_eq!(outcomes[1].status, StepStatus::Skipped);

    output.is_required = false;
    let outcomes = run(&[output, filter], &mut street());
    assert!(!outcomes[0].fails_frame);
    assert_eq!(outcomes[1].status, StepStatus::Completed);
}

#[test]
fn conditions_and_is_active_decide_whether_a_step_runs() {
    let status = |conditions: Value, is_active| {
        let config = json!({});
        let row = StepRow { step_conditions: Some(&conditions), is_active, ..row("f", 1, "filter", &config) };
        let step = ProcessingStep::parse(&row).expect("valid conditions");
        run(&[step], &mut street())[0].status
    };
    assert_eq!(status(json!({}), false), StepStatus::Skipped);
    let cases = [
        (json!({"data_types": ["frame"]}), true),
        (json!({"data_types": ["tracking", "counting"]}), false),
        (json!({"min_detections": 3}), true),
        (json!({"min_detections": 4}), false),
        (json!({"every_nth_frame": 3}), true),
        (json!({"every_nth_frame": 4}), false),
        (json!({"classes_present": ["bus", "car"]}), true),
        (json!({"classes_present": ["bus"]}), false),
    ];
    for (conditions, runs) in cases {
        assert_eq!(status(conditions.clone(), true) == StepStatus::Completed, runs, "{conditions}");
    }
}

#[test]
fn refusals_name_the_key() {
    let cases = [
        ("sort", json!({}), "s.step_type: \"sort\" does not exist"),
        ("filter", json!({"min_conf": 1}), "s.step_config.min_conf: unknown field"),
        (
            "filter",
            json!({"min_confidence": 2}),
            "s.step_config.min_confidence: is 2; use a number from 0 to 1",
        ),
        ("filter", json!({"min_area": 0.5, "max_area": 0.1}), "s.step_config.min_area"),
        ("filter", json!({"region": [[0, 0], [1, 1]]}), "s.step_config.region: has 2 points"),
        ("transform", json!({"scale_boxes": 0}), "s.step_config.scale_boxes"),
        ("aggregate", json!({"metric": "n"}), "missing field `aggregation`"),
        (
            "aggregate",
            json!({"aggregation": "count", "metric": ""}),
            "s.step_config.metric: has 0 characters",
        ),
        ("output", json!({"target": "mail", "metric": "n"}), "s.step_config.target: unknown variant `mail`"),
    ];
    for (kind, config, expected) in cases {
        let message = refusal(kind, config);
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    }
}

#[test]
fn steps_run_by_order_but_after_what_they_need() {
    let steps =
        || ["c", "b", "a"].map(|name| step(name, if name == "c" { 1 } else { 2 }, "filter", json!({})));
    let names = |dependencies: Value| {
        let ordered = in_order(steps().to_vec(), Some(&dependencies)).map_err(|e| e.to_string())?;
        Ok::<_, String>(ordered.into_iter().map(|s| s.name).collect::<String>())
    };
    assert_eq!(names(json!(null)), Ok("cab".to_owned()));
    assert_eq!(names(json!({"c": ["a"], "a": ["b"]})), Ok("bac".to_owned()));
    let cycle = names(json!({"a": ["b"], "b": ["a"]})).expect_err("a cycle");
    assert_eq!(cycle, "dependencies: form a cycle among a, b; remove one of them");
    let unknown = names(json!({"a": ["x"]})).expect_err("an unknown step");
    assert_eq!(unknown, "dependencies.a: names \"x\", which is no step of the pipeline");
    assert!(names(json!({"a": "b"})).is_err());
}
