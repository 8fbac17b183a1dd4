//! Annotated frames: any scene is drawn without a panic, and what is drawn means what it should.

use camcount_vision::decode::Picture;
use camcount_vision::draw::{DrawnLine, DrawnTrack, DrawnZone, Scene, annotate};
use camcount_vision::geometry::{BBox, Point};
use proptest::collection::vec;
use proptest::prelude::*;

/// The colour of arrows.
const IN: [u8; 3] = [0x5b, 0xe0, 0xc0];

fn black(width: u32, height: u32) -> Picture {
    Picture { width, height, rgb: vec![0; (width * height * 3) as usize] }
}

fn pixel(picture: &Picture, x: u32, y: u32) -> [u8; 3] {
    let at = ((y * picture.width + x) * 3) as usize;
    [picture.rgb[at], picture.rgb[at + 1], picture.rgb[at + 2]]
}

fn brightness(picture: &Picture, x: u32, y: u32) -> u32 {
    pixel(picture, x, y).iter().map(|channel| u32::from(*channel)).sum()
}

fn coordinate() -> impl Strategy<Value = f64> {
    prop_oneof![4 => 0.0..1.0_f64, 2 => -3.0..4.0_f64, 1 => any::<f64>(), 1 => Just(f64::NAN)]
}

fn point() -> impl Strategy<Value = Point> {
    [coordinate(), coordinate()].prop_map(Point::from)
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        Just("Cổng Đông – lối vào".to_string()),
        Just("正門 بوابة 🚪\n\u{301}".to_string()),
        Just("long name ".repeat(1000)),
        Just("\u{302}".repeat(5000)),
        Just(String::new()),
    ]
}

prop_compose! {
    fn track()(
        track_id in any::<i64>(),
        class in name(),
        confidence in any::<f64>(),
        bbox in [coordinate(), coordinate(), coordinate(), coordinate()],
        trail in vec(point(), 0..30),
        occluded in any::<bool>(),
    ) -> DrawnTrack {
        DrawnTrack { track_id, class, confidence, bbox: bbox.into(), trail, occluded }
    }
}

prop_compose! {
    fn line()(
        name in name(),
        ends in [point(), point()],
        labels in [name(), name()],
        count_in in any::<i64>(),
        count_out in any::<i64>(),
    ) -> DrawnLine {
        let [from, to] = ends;
        let [in_label, out_label] = labels;
        DrawnLine { name, from, to, in_label, out_label, count_in, count_out }
    }
}

prop_compose! {
    fn zone()(
        name in name(),
        polygon in vec(point(), 0..8),
        occupancy in any::<i64>(),
        overcrowded in any::<bool>(),
    ) -> DrawnZone {
        DrawnZone { name, polygon, occupancy, overcrowded }
    }
}

prop_compose! {
    fn scene()(
        tracks in vec(track(), 0..6),
        lines in vec(line(), 0..3),
        zones in vec(zone(), 0..3),
        caption in name(),
    ) -> Scene {
        Scene { tracks, lines, zones, caption }
    }
}

fn size() -> impl Strategy<Value = (u32, u32)> {
    prop_oneof![
        Just((1, 1)),
        Just((1, 300)),
        Just((9000, 3)),
        Just((3, 9000)),
        (1..200_u32, 1..200_u32),
        Just((768, 576)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_scene_is_drawn_twice_the_same_and_in_the_same_size(scene in scene(), (width, height) in size()) {
        let picture = black(width, height);
        let drawn = annotate(&picture, &scene);
        prop_assert_eq!((drawn.width, drawn.height, drawn.rgb.len()), (width, height, picture.rgb.len()));
        prop_assert!(drawn == annotate(&picture, &scene), "two drawings differ");
    }

    #[test]
    fn a_box_is_drawn_along_its_border_and_not_in_its_middle(
        x in 0.05..0.5_f64, y in 0.15..0.5_f64, w in 0.2..0.4_f64, h in 0.2..0.35_f64, track_id in any::<i64>(),
    ) {
        let track = DrawnTrack { track_id, bbox: BBox { x, y, w, h }, ..DrawnTrack::default() };
        let drawn = annotate(&black(400, 300), &Scene { tracks: vec![track], ..Scene::default() });
        let (left, right) = ((x * 400.0).round() as u32, ((x + w) * 400.0).round() as u32);
        let (top, bottom) = ((y * 300.0).round() as u32, ((y + h) * 300.0).round() as u32);
        for column in left + 1..right - 1 {
            prop_assert!(brightness(&drawn, column, top) > 0 && brightness(&drawn, column, bottom) > 0);
        }
        for row in top + 1..bottom - 1 {
            prop_assert!(brightness(&drawn, left, row) > 0 && brightness(&drawn, right, row) > 0);
        }
        prop_assert_eq!(brightness(&drawn, (left + right) / 2, (top + bottom) / 2), 0);
    }

    /// `in` is where (end - start) x (p - start) > 0.
    #[test]
    fn the_arrow_of_a_line_points_to_its_in_side(angle in 0.0..std::f64::consts::TAU) {
        let (dx, dy) = (angle.cos() * 0.25, angle.sin() * 0.25);
        let line = DrawnLine {
            from: Point { x: 0.5 - dx, y: 0.5 - dy },
            to: Point { x: 0.5 + dx, y: 0.5 + dy },
            ..DrawnLine::default()
        };
        let drawn = annotate(&black(400, 400), &Scene { lines: vec![line], ..Scene::default() });
        // Square pixels: (x, y) off the middle is on the right of (dx, dy) where dx * y - dy * x > 0.
        let (x, y) = (-angle.sin() * 13.0, angle.cos() * 13.0);
        prop_assert!(dx * y - dy * x > 0.0);
        // Three pixels across, which the strokes of digits in the same colour are not.
        let is_arrow = |sign: f64| {
            let (x, y) = ((200.0 + x * sign) as u32, (200.0 + y * sign) as u32);
            (0..9).all(|offset| pixel(&drawn, x + offset % 3 - 1, y + offset / 3 - 1) == IN)
        };
        prop_assert!(is_arrow(1.0) && !is_arrow(-1.0));
    }
}

#[test]
fn a_picture_that_contradicts_itself_is_returned_as_it_is() {
    let scene = Scene { caption: "yard".into(), ..Scene::default() };
    for picture in [
        Picture { width: 0, height: 0, rgb: Vec::new() },
        Picture { width: 4, height: 4, rgb: vec![7; 5] },
        Picture { width: u32::MAX, height: u32::MAX, rgb: vec![7; 9] },
    ] {
        assert_eq!(annotate(&picture, &scene), picture);
    }
}

#[test]
fn an_empty_scene_changes_nothing() {
    let picture = Picture { width: 50, height: 40, rgb: (0..6000).map(|byte| (byte % 251) as u8).collect() };
    assert_eq!(annotate(&picture, &Scene::default()), picture);
}

#[test]
fn a_track_keeps_its_colour_from_frame_to_frame() {
    let on_left_edge = |track_id, x: f64| {
        let bbox = BBox { x, y: 0.25, w: 0.25, h: 0.5 };
        let track = DrawnTrack { track_id, bbox, ..DrawnTrack::default() };
        let drawn = annotate(&black(400, 400), &Scene { tracks: vec![track], ..Scene::default() });
        // Above the left edge's middle and off its anti-aliased outside.
        (0..3).map(|inwards| pixel(&drawn, (x * 400.0) as u32 + inwards - 1, 200)).collect::<Vec<_>>()
    };
    assert_eq!(on_left_edge(7, 0.25), on_left_edge(7, 0.5));
    assert_ne!(on_left_edge(7, 0.25), on_left_edge(8, 0.25));
}

#[test]
fn the_box_of_an_occluded_track_has_gaps() {
    let row_along_the_bottom = |occluded| {
        let bbox = BBox { x: 0.1, y: 0.4, w: 0.8, h: 0.5 };
        let track = DrawnTrack { bbox, occluded, ..DrawnTrack::default() };
        let drawn = annotate(&black(400, 400), &Scene { tracks: vec![track], ..Scene::default() });
        (50..350).filter(|x| brightness(&drawn, *x, 360) > 300).count()
    };
    assert_eq!(row_along_the_bottom(false), 300);
    let dashes = row_along_the_bottom(true);
    assert!((100..250).contains(&dashes), "{dashes} of 300 pixels are coloured");
}

#[test]
fn a_trail_fades_with_age() {
    let trail = (0..=40).map(|step| Point { x: 0.1 + f64::from(step) * 0.02, y: 0.5 }).collect();
    let bbox = BBox { x: f64::NAN, ..BBox::default() };
    let track = DrawnTrack { bbox, trail, ..DrawnTrack::default() };
    let drawn = annotate(&black(400, 400), &Scene { tracks: vec![track], ..Scene::default() });
    let (old, new) = (brightness(&drawn, 50, 200), brightness(&drawn, 350, 200));
    assert!(0 < old && old * 2 < new, "oldest {old}, newest {new}");
}

#[test]
fn a_zone_is_translucent_and_shows_that_it_is_overcrowded() {
    let corners = [[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]];
    let middle = |ground: u8, overcrowded| {
        let picture = Picture { width: 400, height: 400, rgb: vec![ground; 400 * 400 * 3] };
        let polygon = corners.map(Point::from).to_vec();
        let zone = DrawnZone { polygon, overcrowded, ..DrawnZone::default() };
        let drawn = annotate(&picture, &Scene { zones: vec![zone], ..Scene::default() });
        assert_eq!(pixel(&drawn, 40, 200), [ground; 3], "outside");
        pixel(&drawn, 200, 200)
    };
    assert_ne!(middle(0, false), [0; 3]);
    assert_ne!(middle(0, false), middle(255, false), "the ground shows through");
    assert_ne!(middle(0, false), middle(0, true));
}

#[test]
fn vietnamese_names_are_written_not_boxed() {
    let caption = |text: &str| {
        let scene = Scene { caption: text.into(), ..Scene::default() };
        annotate(&black(400, 300), &scene)
    };
    assert_ne!(caption("ế"), caption("ề"));
    assert_eq!(caption("e\u{302}\u{301}"), caption("ế"));
}
