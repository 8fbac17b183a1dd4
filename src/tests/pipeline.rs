//! Pipelines, their shapes and steps: checked whichever way they are written.

#[pgrx::pg_schema]
mod tests {
    use crate::tests::{assert_refused, get, holds, run};
    use pgrx::prelude::*;

    fn create(config: &str) {
        run(&format!("SELECT camcount.create_pipeline('plaza', 'The plaza', 'counting', '{config}')"));
    }

    fn config_version() -> i64 {
        get("SELECT config_version FROM camcount.stream_processing_pipeline WHERE pipeline_id = 'plaza'")
    }

    fn config_is(path: &str, expected: &str) -> bool {
        holds(&format!(
            "SELECT pipeline_config #> '{path}' = '{expected}' FROM camcount.stream_processing_pipeline
             WHERE pipeline_id = 'plaza'"
        ))
    }

    #[pg_test]
    fn a_pipeline_is_created_and_replaced_under_its_id() {
        create(r#"{"cameras": ["gate"]}"#);
        let before = config_version();
        let id: String =
            get("SELECT camcount.create_pipeline('plaza', 'Another name', 'analytics', '{\"classes\": []}')");
        assert_eq!(id, "plaza");
        assert!(config_version() > before);
        assert!(holds(
            "SELECT count(*) = 1 AND bool_and((pipeline_name, pipeline_type) = ('Another name', 'analytics')
                                              AND pipeline_config = '{\"classes\": []}')
             FROM camcount.stream_processing_pipeline WHERE pipeline_id = 'plaza'"
        ));
    }

    #[pg_test]
    fn a_pipeline_needs_no_configuration() {
        run("SELECT camcount.create_pipeline('plaza', 'The plaza', 'detection')");
        assert!(config_is("{}", "{}"));
    }

    #[pg_test]
    fn lines_and_zones_are_added_and_replaced_by_name() {
        create("{}");
        run("SELECT camcount.add_line('plaza', 'door', ARRAY[0.1, 0.5], ARRAY[0.9, 0.5])");
        run(
            "SELECT camcount.add_line('plaza', 'gate', ARRAY[0.1, 0.6], ARRAY[0.9, 0.6], '{\"in\": \"enter\"}')",
        );
        run(
            "SELECT camcount.add_line('plaza', 'door', ARRAY[0.2, 0.5], ARRAY[0.8, 0.5], '{\"rearm\": \"once\"}')",
        );
        run("SELECT camcount.add_zone('plaza', 'hall', '[[0, 0], [1, 0], [1, 1]]', '{\"enter_frames\": 5}')");
        assert!(config_is(
            "{lines}",
            r#"[{"name": "gate", "from": [0.1, 0.6], "to": [0.9, 0.6], "in": "enter"},
                {"name": "door", "from": [0.2, 0.5], "to": [0.8, 0.5], "rearm": "once"}]"#
        ));
        assert!(config_is(
            "{zones}",
            r#"[{"name": "hall", "polygon": [[0, 0], [1, 0], [1, 1]], "enter_frames": 5}]"#
        ));
    }

    #[pg_test]
    fn a_new_shape_is_a_new_version_for_the_workers() {
        create("{}");
        let before = config_version();
        run("SELECT camcount.add_line('plaza', 'door', ARRAY[0.1, 0.5], ARRAY[0.9, 0.5])");
        assert!(config_version() > before);
    }

    #[pg_test]
    fn a_name_alone_is_no_new_version() {
        create("{}");
        let before = config_version();
        run("UPDATE camcount.stream_processing_pipeline SET pipeline_name = 'x', frames_processed = 7");
        assert_eq!(config_version(), before);
    }

    #[pg_test]
    fn wrong_arguments_of_create_pipeline_are_named() {
        for (arguments, code, named) in [
            ("NULL, 'P', 'counting', '{}'", "22004", "p_pipeline_id"),
            ("'p', NULL, 'counting', '{}'", "22004", "p_pipeline_name"),
            ("'p', 'P', NULL, '{}'", "22004", "p_pipeline_type"),
            ("'p', 'P', 'counting', NULL", "22004", "p_pipeline_config"),
            ("repeat('p', 101), 'P', 'counting', '{}'", "22023", "p_pipeline_id"),
            ("'p', repeat('P', 201), 'counting', '{}'", "22023", "p_pipeline_name"),
            ("'p', '', 'counting', '{}'", "22023", "p_pipeline_name"),
            ("'p', 'P', 'baking', '{}'", "22023", "p_pipeline_type"),
            ("'p', 'P', 'counting', '[]'", "22023", "pipeline configuration"),
        ] {
            assert_refused(&format!("SELECT camcount.create_pipeline({arguments})"), code, named);
        }
    }

    #[pg_test]
    fn an_unknown_key_is_refused_by_its_name() {
        for (config, named) in [
            (r#"{"lnes": []}"#, "lnes"),
            (r#"{"tracker": {"patience": 3}}"#, "patience"),
            (r#"{"outputs": {"kafka": true}}"#, "kafka"),
            (r#"{"lines": [{"name": "a", "from": [0, 0], "to": [1, 1], "colour": "red"}]}"#, "lines[0]"),
            (r#"{"zones": [{"name": "a", "polygon": [[0, 0], [1, 0], [1, 1]], "dwell": 3}]}"#, "zones[0]"),
        ] {
            let statement = format!("SELECT camcount.create_pipeline('p', 'P', 'counting', '{config}')");
            assert_refused(&statement, "42P02", named);
        }
    }

    #[pg_test]
    fn geometry_that_divides_or_encloses_nothing_is_refused() {
        create("{}");
        for (statement, named) in [
            ("SELECT camcount.add_line('plaza', 'l', ARRAY[0.5, 0.5], ARRAY[0.5, 0.5])", "lines[0].to"),
            ("SELECT camcount.add_line('plaza', 'l', ARRAY[0.5], ARRAY[0.5, 0.5])", "lines[0].from"),
            (
                "SELECT camcount.add_line('plaza', 'l', ARRAY['NaN', 0.5]::float8[], ARRAY[0.5, 0.5])",
                "lines[0].from",
            ),
            ("SELECT camcount.add_line('plaza', 'l', ARRAY[0, 0.5], ARRAY[1.5, 0.5])", "lines[0].to"),
            ("SELECT camcount.add_zone('plaza', 'z', '[[0, 0], [1, 1]]')", "zones[0].polygon"),
            ("SELECT camcount.add_zone('plaza', 'z', '[[0, 0], [0.5, 0.5], [1, 1]]')", "zones[0].polygon"),
            ("SELECT camcount.add_zone('plaza', 'z', '{\"x\": 1}')", "zones[0].polygon"),
            (
                "SELECT camcount.add_line('plaza', 'l', ARRAY[0, 0.5], ARRAY[1, 0.5], '{\"confirm_frames\": 0}')",
                "confirm_frames",
            ),
        ] {
            assert_refused(statement, "22023", named);
        }
        assert!(config_is("{}", "{}"));
    }

    #[pg_test]
    fn wrong_arguments_of_add_line_and_add_zone_are_named() {
        create("{}");
        for (statement, code, named) in [
            ("add_line(NULL, 'l', ARRAY[0, 0.5], ARRAY[1, 0.5])", "22004", "p_pipeline_id"),
            ("add_line('plaza', NULL, ARRAY[0, 0.5], ARRAY[1, 0.5])", "22004", "p_line_name"),
            ("add_line('plaza', 'l', NULL, ARRAY[1, 0.5])", "22004", "p_from"),
            ("add_line('plaza', 'l', ARRAY[0, 0.5], NULL)", "22004", "p_to"),
            ("add_line('plaza', 'l', ARRAY[0, NULL]::float8[], ARRAY[1, 0.5])", "22023", "lines[0].from"),
            ("add_line('plaza', '', ARRAY[0, 0.5], ARRAY[1, 0.5])", "22023", "p_line_name"),
            ("add_line('plaza', repeat('l', 101), ARRAY[0, 0.5], ARRAY[1, 0.5])", "22023", "p_line_name"),
            ("add_line('plaza', 'l', ARRAY[0, 0.5], ARRAY[1, 0.5], '[]')", "22023", "p_options"),
            ("add_line('nowhere', 'l', ARRAY[0, 0.5], ARRAY[1, 0.5])", "42704", "nowhere"),
            ("add_zone('plaza', NULL, '[]')", "22004", "p_zone_name"),
            ("add_zone('plaza', 'z', NULL)", "22004", "p_polygon"),
            ("add_zone('nowhere', 'z', '[[0, 0], [1, 0], [1, 1]]')", "42704", "nowhere"),
        ] {
            assert_refused(&format!("SELECT camcount.{statement}"), code, named);
        }
    }

    #[pg_test]
    fn a_row_written_without_the_functions_is_checked_too() {
        create("{}");
        assert_refused(
            "INSERT INTO camcount.stream_processing_pipeline (pipeline_id, pipeline_name, pipeline_type, pipeline_config)
             VALUES ('p', 'P', 'counting', '{\"lnes\": []}')",
            "42P02",
            "lnes",
        );
        assert_refused(
            "UPDATE camcount.stream_processing_pipeline SET pipeline_config = '{\"score_threshold\": 1.5}'",
            "22023",
            "score_threshold",
        );
    }

    #[pg_test]
    fn steps_are_checked_by_their_type() {
        create("{}");
        let step = |kind: &str, config: &str, conditions: &str| {
            format!(
                "INSERT INTO camcount.processing_steps
                     (pipeline_id, step_name, step_order, step_type, step_config, step_conditions)
                 VALUES ('plaza', 'big', 1, '{kind}', '{config}', '{conditions}')"
            )
        };
        assert_refused(
            &step("filter", r#"{"min_confidence": 2}"#, "{}"),
            "22023",
            "big.step_config.min_confidence",
        );
        assert_refused(&step("filter", r#"{"colour": "red"}"#, "{}"), "42P02", "colour");
        assert_refused(
            &step("filter", "{}", r#"{"every_nth_frame": 0}"#),
            "22023",
            "big.step_conditions.every_nth_frame",
        );
        assert_refused(&step("bake", "{}", "{}"), "22023", "bake");
        let before = config_version();
        run(&step("filter", r#"{"min_confidence": 0.5}"#, r#"{"data_types": ["frame"]}"#));
        assert!(config_version() > before);
        assert_refused(
            "UPDATE camcount.processing_steps SET step_config = '{\"min_area\": -1}'",
            "22023",
            "min_area",
        );
        assert_refused(&step("filter", "{}", "{}"), "23505", "processing_steps_name_key");
    }

    #[pg_test]
    fn figures_of_a_step_are_no_new_version_and_its_removal_is() {
        create("{}");
        run("INSERT INTO camcount.processing_steps (pipeline_id, step_name, step_order, step_type)
             VALUES ('plaza', 'all', 1, 'filter')");
        let before = config_version();
        run("UPDATE camcount.processing_steps SET execution_count = 7");
        assert_eq!(config_version(), before);
        run("DELETE FROM camcount.processing_steps WHERE pipeline_id = 'plaza'");
        assert!(config_version() > before);
    }

    #[pg_test]
    fn steps_go_with_their_pipeline() {
        create("{}");
        run("INSERT INTO camcount.processing_steps (pipeline_id, step_name, step_order, step_type)
             VALUES ('plaza', 'all', 1, 'filter')");
        run("DELETE FROM camcount.stream_processing_pipeline WHERE pipeline_id = 'plaza'");
        assert!(holds("SELECT count(*) = 0 FROM camcount.processing_steps WHERE pipeline_id = 'plaza'"));
    }

    /// Resolution 13: the steps are in the table, the order that `dependencies` ask for must exist.
    #[pg_test]
    fn dependencies_with_a_cycle_are_refused() {
        create("{}");
        let set = |dependencies: &str| {
            format!("UPDATE camcount.stream_processing_pipeline SET dependencies = '{dependencies}'")
        };
        for (dependencies, named) in [
            (r#"{"a": ["b"], "b": ["a"]}"#, "cycle"),
            (r#"{"a": ["a"]}"#, "cycle"),
            (r#"{"a": ["b"], "b": ["c"], "c": ["d"], "d": ["b"]}"#, "cycle"),
            (r#"{"a": "b"}"#, "dependencies.a"),
            (r#"["a"]"#, "dependencies"),
        ] {
            assert_refused(&set(dependencies), "22023", named);
        }
        run(&set(r#"{"a": ["b", "c"], "b": ["c"], "c": []}"#));
        run("UPDATE camcount.stream_processing_pipeline SET dependencies = NULL");
    }
}
