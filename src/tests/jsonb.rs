//! What the server stores is read as what it prints.

#[pgrx::pg_schema]
mod tests {
    use crate::jsonb::Jsonb;
    use crate::tests::alone;
    use pgrx::prelude::*;
    use serde_json::Value;

    /// Each row's value in the database's form, beside its text.
    fn assert_read_as_printed(query: &str) {
        alone();
        Spi::connect(|client| {
            for row in client
                .select(&format!("SELECT value, value::text FROM ({query}) AS q (value)"), None, &[])
                .unwrap()
            {
                let (stored, text) =
                    (row.get::<Jsonb>(1).unwrap().unwrap(), row.get::<&str>(2).unwrap().unwrap());
                let printed: Value = serde_json::from_str(text).unwrap();
                // serde_json is not exact beyond 15 digits.
                let printed = if printed.is_f64() { text.parse::<f64>().unwrap().into() } else { printed };
                assert_eq!(stored.read("value").unwrap(), printed, "{text}");
                // A number keeps the digits that it is stored with.
                let length = if printed.is_number() { text.len() } else { printed.to_string().len() };
                assert_eq!(stored.value("value").unwrap().text_length().unwrap(), length, "{text}");
            }
        });
    }

    #[pg_test]
    fn numbers_of_any_size_and_scale() {
        run_with_seed();
        assert_read_as_printed(
            "SELECT to_jsonb(round((random() - 0.5)::numeric * power(10::numeric, i % 328 - 20), (i / 7) % 40))
             FROM generate_series(1, 4000) AS i",
        );
        assert_read_as_printed("SELECT to_jsonb(power(2::numeric, i) - 1) FROM generate_series(1, 130) AS i");
        assert_read_as_printed(
            "SELECT unnest(ARRAY['0', '-0', '0.000', '1e-300', '1.7e308', '9007199254740993', '18446744073709551615',
                                 '18446744073709551616', '-9223372036854775808', '-9223372036854775809']::jsonb[])",
        );
    }

    #[pg_test]
    fn lists_and_objects_of_any_length() {
        run_with_seed();
        assert_read_as_printed(
            "SELECT jsonb_agg(CASE i % 4 WHEN 0 THEN to_jsonb(i) WHEN 1 THEN to_jsonb(repeat('ä', i % 50))
                                         WHEN 2 THEN 'null' ELSE jsonb_build_object('key', i, 'list', '[true, {}]'::jsonb) END)
             FROM generate_series(1, 300) AS i GROUP BY i % 17",
        );
        assert_read_as_printed(
            r#"SELECT jsonb_object_agg('key ' || i * 7919 % 1000, jsonb_build_array(i, '"\" \\ \n \u0001 ü"'::jsonb))
             FROM generate_series(1, 300) AS i GROUP BY i % 7"#,
        );
    }

    fn run_with_seed() {
        Spi::run("SELECT setseed(0.5)").unwrap();
    }
}
