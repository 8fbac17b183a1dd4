//! Heat maps: what they show, and what they refuse.

use camcount_vision::decode::Picture;
use camcount_vision::draw::{DensityGrid, HeatmapError, MAX_HEATMAP_SIDE, heatmap};
use proptest::collection::vec;
use proptest::prelude::*;

fn grey(width: u32, height: u32) -> Picture {
    Picture { width, height, rgb: vec![90; (width * height * 3) as usize] }
}

fn pixel(picture: &Picture, x: u32, y: u32) -> [u8; 3] {
    let at = ((y * picture.width + x) * 3) as usize;
    [picture.rgb[at], picture.rgb[at + 1], picture.rgb[at + 2]]
}

/// 10 x 10 cells, `value` in the third of the fourth row.
fn one_busy_cell(value: f64) -> DensityGrid {
    let mut values = vec![0.0; 100];
    values[32] = value;
    DensityGrid { columns: 10, rows: 10, values }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_lawful_grid_is_drawn_in_the_size_asked_for(
        (columns, values) in (1..9_usize, 1..9_usize).prop_flat_map(|(columns, rows)| {
            let value = prop_oneof![Just(0.0), 0.0..100.0_f64, Just(f64::MAX), Just(f64::MIN_POSITIVE)];
            (Just(columns), vec(value, columns * rows))
        }),
        (width, height) in prop_oneof![Just((1, 1)), Just((MAX_HEATMAP_SIDE, 1)), (1..400_u32, 1..300_u32)],
        with_background in any::<bool>(),
    ) {
        let rows = (values.len() / columns) as u32;
        let grid = DensityGrid { columns: columns as u32, rows, values };
        let background = with_background.then(|| grey(64, 48));
        let drawn = heatmap(&grid, background.as_ref(), (width, height))?;
        prop_assert_eq!((drawn.width, drawn.height), (width, height));
        prop_assert_eq!(drawn.rgb.len(), (width * height * 3) as usize);
        prop_assert_eq!(drawn, heatmap(&grid, background.as_ref(), (width, height))?);
    }
}

#[test]
fn the_busy_cell_is_bright_and_the_rest_of_the_frame_stays_as_it_was() {
    let drawn = heatmap(&one_busy_cell(60.0), Some(&grey(400, 400)), (400, 400)).unwrap();
    let busy = pixel(&drawn, 100, 140);
    assert!(busy[0] > 200 && busy[1] > 200, "inferno ends in a pale yellow, not {busy:?}");
    for (x, y) in [(100, 300), (300, 140), (20, 20), (390, 200)] {
        assert_eq!(pixel(&drawn, x, y), [90; 3], "at {x}, {y}");
    }
}

#[test]
fn between_cells_the_colour_changes_little_by_little() {
    let drawn = heatmap(&one_busy_cell(60.0), None, (400, 400)).unwrap();
    for x in 0..200 {
        let (left, right) = (pixel(&drawn, x, 140), pixel(&drawn, x + 1, 140));
        let step = left.iter().zip(right).map(|(a, b)| a.abs_diff(b)).max();
        assert!(step < Some(24), "from {left:?} to {right:?} at {x}");
    }
}

#[test]
fn the_colours_are_relative_to_the_largest_value_which_the_legend_names() {
    let (few, many) = (one_busy_cell(2.0), one_busy_cell(2000.0));
    let drawn = [few, many].map(|grid| heatmap(&grid, None, (400, 400)).unwrap());
    let upper_part = |picture: &Picture| picture.rgb[..400 * 300 * 3].to_vec();
    assert_eq!(upper_part(&drawn[0]), upper_part(&drawn[1]));
    assert_ne!(drawn[0], drawn[1], "the legends differ");
}

#[test]
fn a_grid_without_activity_is_said_to_be_so() {
    let quiet = one_busy_cell(0.0);
    let background = grey(400, 300);
    let drawn = heatmap(&quiet, Some(&background), (400, 300)).unwrap();
    assert_eq!(pixel(&drawn, 20, 20), [90; 3]);
    let changed = drawn.rgb.iter().zip(&background.rgb).filter(|(a, b)| a != b).count();
    assert!(changed > 500, "only {changed} bytes are the words");
    assert_eq!(pixel(&heatmap(&quiet, None, (40, 30)).unwrap(), 0, 0), [0x12, 0x16, 0x1a]);
}

#[test]
fn unlawful_arguments_are_refused() {
    let refusal =
        |grid: &DensityGrid, background: Option<&Picture>, size| heatmap(grid, background, size).unwrap_err();
    for value in [f64::NAN, f64::INFINITY, -0.5] {
        let error = refusal(&one_busy_cell(value), None, (40, 40));
        assert!(matches!(error, HeatmapError::Value { index: 32, .. }), "{error}");
    }
    let empty = DensityGrid { columns: 0, rows: 4, values: Vec::new() };
    assert_eq!(refusal(&empty, None, (4, 4)), HeatmapError::EmptyGrid { columns: 0, rows: 4 });
    let short = DensityGrid { columns: u32::MAX, rows: u32::MAX, values: vec![0.0] };
    assert!(matches!(refusal(&short, None, (4, 4)), HeatmapError::ValueCount { values: 1, .. }));
    for size in [(0, 4), (4, 0), (MAX_HEATMAP_SIDE + 1, 1)] {
        assert!(matches!(refusal(&one_busy_cell(1.0), None, size), HeatmapError::Size { .. }));
    }
    for (width, height) in [(3, 3), (0, 0), (u32::MAX, u32::MAX)] {
        let torn = Picture { width, height, rgb: vec![0; 5] };
        let error = refusal(&one_busy_cell(1.0), Some(&torn), (4, 4));
        assert_eq!(error, HeatmapError::Background { width, height, bytes: 5 });
    }
}
