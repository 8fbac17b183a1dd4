//! Models: registered, versioned, replaced and refused. Where there is no ONNX Runtime, tests that open a model are
//! skipped with a message.

#[pgrx::pg_schema]
mod tests {
    use std::path::{Path, PathBuf};

    use crate::settings;
    use crate::tests::{FRAME, assert_refused, get, holds, keep, list, run};
    use pgrx::prelude::*;

    /// A model of three nodes whose every dimension is open; see the README beside it.
    const MEAN_COLOR: &[u8] = include_bytes!("../../crates/vision/tests/data/mean_color.onnx");
    const CONFIG: &str = r#"{"head": "centernet", "input_size": [64, 48]}"#;

    /// Whether models can be opened; puts the small one at hand.
    fn prepare() -> bool {
        let library = settings::onnxruntime_library();
        if !library.exists() {
            warning!("skipped: there is no ONNX Runtime at {}", library.display());
            return false;
        }
        keep("mean_color", MEAN_COLOR);
        true
    }

    fn statement(name: &str, file: &str, config: &str) -> String {
        format!("SELECT camcount.register_model('{name}', pg_temp.bytes('{file}'), '{config}')")
    }

    fn register(name: &str, config: &str) -> i32 {
        get(&statement(name, "mean_color", config))
    }

    /// A file named by a setting that `pg_test` passes on from the environment; a message where there is none.
    fn from_environment(setting: &str, below: &str) -> Option<Vec<u8>> {
        let folder: String =
            get(&format!("SELECT coalesce(current_setting('camcount_test.{setting}', true), '')"));
        let path: PathBuf = Path::new(&folder).join(below).components().collect();
        let bytes = (!folder.is_empty()).then(|| std::fs::read(&path).ok()).flatten();
        if bytes.is_none() {
            warning!("skipped: {setting} names no readable {}", path.display());
        }
        bytes
    }

    #[pg_test]
    fn the_same_model_keeps_its_version_and_another_is_the_next() {
        if !prepare() {
            return;
        }
        assert_eq!(register("m", CONFIG), 1);
        assert_eq!(register("m", CONFIG), 1);
        assert_eq!(register("m", r#"{"input_size": [64, 48], "head": "centernet"}"#), 1);
        assert_eq!(register("m", r#"{"head": "centernet", "input_size": [32, 32]}"#), 2);
        assert_eq!(register("other", CONFIG), 1);
        let listed =
            "SELECT concat_ws(' ', model_name, model_version, is_current) FROM camcount.list_models()
            WHERE model_name IN ('m', 'other')";
        assert_eq!(list(listed), "m 1 f, m 2 t, other 1 t");
    }

    #[pg_test]
    fn a_model_is_listed_with_what_follows_from_its_file() {
        if !prepare() {
            return;
        }
        register("m", r#"{"head": "centernet", "input_size": [64, 48], "classes": ["person", "car"]}"#);
        assert!(holds(
            "SELECT sha256 = encode(sha256(pg_temp.bytes('mean_color')), 'hex')
                AND bytes = octet_length(pg_temp.bytes('mean_color')) AND head = 'centernet' AND classes = 2
             FROM camcount.list_models() WHERE model_name = 'm'"
        ));
        assert!(holds(
            "SELECT resolved_config -> 'input' @> '{\"width\": 64, \"height\": 48, \"dynamic_batch\": true}'
             FROM camcount.models WHERE model_name = 'm'"
        ));
    }

    #[pg_test]
    fn removing_the_current_version_brings_the_one_before_back() {
        if !prepare() {
            return;
        }
        register("m", CONFIG);
        register("m", r#"{"head": "centernet", "input_size": [32, 32]}"#);
        register("m", r#"{"head": "centernet", "input_size": [16, 16]}"#);
        assert_eq!(get::<i32>("SELECT camcount.unregister_model('m', 3)"), 1);
        let current = "SELECT model_version::text FROM camcount.models WHERE model_name = 'm' AND is_current";
        assert_eq!(list(current), "2");
        assert_eq!(get::<i32>("SELECT camcount.unregister_model('m', 1)"), 1);
        assert_eq!(list(current), "2");
    }

    #[pg_test]
    fn all_versions_are_removed_at_once() {
        if !prepare() {
            return;
        }
        register("m", CONFIG);
        register("m", r#"{"head": "centernet", "input_size": [32, 32]}"#);
        assert_eq!(get::<i32>("SELECT camcount.unregister_model('m')"), 2);
        assert!(holds("SELECT count(*) = 0 FROM camcount.models WHERE model_name = 'm'"));
        assert_refused("SELECT camcount.unregister_model('m')", "42704", "m");
    }

    #[pg_test]
    fn what_is_not_registered_cannot_be_removed() {
        assert_refused("SELECT camcount.unregister_model('nothing')", "42704", "nothing");
        assert_refused("SELECT camcount.unregister_model('nothing', 1)", "42704", "nothing");
        assert_refused("SELECT camcount.unregister_model(NULL)", "22004", "p_model_name");
    }

    #[pg_test]
    fn wrong_arguments_of_register_model_are_named() {
        for (arguments, code, named) in [
            (r#"NULL, '\x00', '{"head": "yolox"}'"#, "22004", "p_model_name"),
            (r#"'m', NULL, '{"head": "yolox"}'"#, "22004", "p_onnx"),
            (r#"'m', '\x00', NULL"#, "22004", "p_config"),
            (r#"'', '\x00', '{"head": "yolox"}'"#, "22023", "p_model_name"),
            (r#"repeat('m', 101), '\x00', '{"head": "yolox"}'"#, "22023", "p_model_name"),
        ] {
            assert_refused(&format!("SELECT camcount.register_model({arguments})"), code, named);
        }
    }

    #[pg_test]
    fn a_configuration_that_says_nothing_known_is_refused_with_its_key() {
        keep("mean_color", MEAN_COLOR);
        for (config, named) in [
            ("{}", "head"),
            ("[]", "m"),
            (r#"{"head": "hydra"}"#, "hydra"),
            (r#"{"head": "yolox", "colour": "red"}"#, "colour"),
            (r#"{"head": "yolox", "score_threshold": 1.5}"#, "score_threshold"),
            (r#"{"head": "yolox", "input_size": [0, 10]}"#, "input_size"),
        ] {
            assert_refused(&statement("m", "mean_color", config), "22023", named);
        }
    }

    #[pg_test]
    fn bytes_that_are_no_model_are_refused() {
        if !prepare() {
            return;
        }
        keep("frame", FRAME);
        keep("nothing", b"");
        keep("half", &MEAN_COLOR[..MEAN_COLOR.len() / 2]);
        for file in ["frame", "nothing", "half"] {
            assert_refused(&statement("m", file, r#"{"head": "yolox"}"#), "22P03", "model m");
        }
    }

    #[pg_test]
    fn a_file_that_does_not_fit_is_refused_with_both_sides() {
        if !prepare() {
            return;
        }
        let misfit = |config: &str, code: &str, named: &str| {
            assert_refused(&statement("m", "mean_color", config), code, named);
        };
        misfit(r#"{"head": "centernet"}"#, "22023", "input_size");
        misfit(r#"{"head": "nanodet", "input_size": [64, 64]}"#, "42804", "expected 6");
        misfit(r#"{"head": "centernet", "input_size": [64, 64], "layout": "nchw"}"#, "42804", "expected");
    }

    #[pg_test]
    fn a_refused_model_leaves_the_current_one_in_place() {
        if !prepare() {
            return;
        }
        register("m", CONFIG);
        assert_refused(
            &statement("m", "mean_color", r#"{"head": "nanodet", "input_size": [64, 64]}"#),
            "42804",
            "m",
        );
        assert!(holds(
            "SELECT count(*) = 1 AND bool_and(is_current) FROM camcount.models WHERE model_name = 'm'"
        ));
    }

    #[pg_test]
    fn published_detectors_are_taken_with_their_head_alone() {
        if !prepare() {
            return;
        }
        for (file, head, classes, side) in [
            ("yolox_nano_416.onnx", "yolox", 80, 416),
            ("nanodet_m_416.onnx", "nanodet", 80, 416),
            ("light_person_192.onnx", "yolox", 1, 192),
        ] {
            let Some(bytes) = from_environment("data", &format!("models/{file}")) else { continue };
            keep(file, &bytes);
            run(&statement(file, file, &format!(r#"{{"head": "{head}"}}"#)));
            assert!(
                holds(&format!(
                    "SELECT head = '{head}' AND classes = {classes} AND (SELECT (resolved_config #>> '{{input,width}}')::int
                        FROM camcount.models m WHERE m.model_name = l.model_name) = {side}
                     FROM camcount.list_models() l WHERE model_name = '{file}'"
                )),
                "{file}"
            );
        }
    }

    #[pg_test]
    fn the_default_model_is_taken_with_its_head_alone() {
        if !prepare() {
            return;
        }
        let Some(bytes) = from_environment("model", "") else { return };
        keep("default", &bytes);
        run(&statement("standard", "default", r#"{"head": "centernet"}"#));
        assert!(holds(
            "SELECT head = 'centernet' AND is_current FROM camcount.list_models() WHERE model_name = 'standard'"
        ));
    }
}
