//! A frame with what was found in it.

use tiny_skia::{Path, Point as Pixel, Rect};

use super::canvas::{Canvas, LineStyle, Measures, polygon, polyline};
use super::label::{Label, Labels, Span, Spot};
use super::palette::{ALARM, DIM, IN, INK, OUT, PAPER, Rgb, ZONE};
use crate::decode::Picture;
use crate::geometry::{BBox, Point};

/// How far outside the picture, in picture sizes, a coordinate may lie before it is pulled in: enough for any line
/// or box that leaves the picture, and short enough for dashes and anti-aliasing to stay cheap.
const REACH: f64 = 2.0;
/// The newest points of a trail that are drawn.
const MAX_TRAIL: usize = 240;
/// Steps of opacity along a trail.
const TRAIL_STEPS: usize = 12;
/// The widest label, as a fraction of the picture's width.
const LABEL_WIDTH: f32 = 0.6;
/// How opaque plates of labels and casings are.
const PLATE: f32 = 0.72;
const CASING: f32 = 0.55;

/// Everything to draw over one frame. Coordinates are normalised; what lies outside is clipped, and an item with a
/// coordinate that is not finite is left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scene {
    /// Tracked objects.
    pub tracks: Vec<DrawnTrack>,
    /// Counting lines.
    pub lines: Vec<DrawnLine>,
    /// Zones.
    pub zones: Vec<DrawnZone>,
    /// Camera, time and frame number, shown in the bottom left corner; nothing is shown where it is empty.
    pub caption: String,
}

/// A tracked object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DrawnTrack {
    /// Chooses the colour, and is shown.
    pub track_id: i64,
    /// Class name, for example `person`.
    pub class: String,
    /// Score in 0..=1, shown where there is room and the object is seen.
    pub confidence: f64,
    /// Where the object is; not drawn where a size is negative.
    pub bbox: BBox,
    /// Foot points, the oldest first.
    pub trail: Vec<Point>,
    /// Whether the box is predicted, not seen, in this frame: it is dashed.
    pub occluded: bool,
}

/// A counting line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DrawnLine {
    /// Name of the line.
    pub name: String,
    /// Start.
    pub from: Point,
    /// End. `in` leads to the right hand of somebody who looks from the start to the end.
    pub to: Point,
    /// Word for the `in` direction.
    pub in_label: String,
    /// Word for the `out` direction.
    pub out_label: String,
    /// Crossings in the `in` direction.
    pub count_in: i64,
    /// Crossings in the `out` direction.
    pub count_out: i64,
}

/// A zone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DrawnZone {
    /// Name of the zone.
    pub name: String,
    /// Corners; a zone of fewer than three is left out.
    pub polygon: Vec<Point>,
    /// Objects inside now.
    pub occupancy: i64,
    /// Whether there are too many.
    pub overcrowded: bool,
}

/// Draws `scene` over a copy of `picture`. Equal arguments give equal pictures. A picture without pixels, or whose
/// bytes do not match its size, is returned as it is.
pub fn annotate(picture: &Picture, scene: &Scene) -> Picture {
    let Some(mut canvas) = Canvas::over(picture) else { return picture.clone() };
    let frame = Frame { measures: canvas.measures };
    scene.zones.iter().for_each(|zone| frame.zone(&mut canvas, zone));
    scene.tracks.iter().for_each(|track| frame.trail(&mut canvas, track));
    scene.lines.iter().for_each(|line| frame.line(&mut canvas, line));
    scene.tracks.iter().for_each(|track| frame.outline(&mut canvas, track));

    let objects = scene.tracks.iter().filter_map(|track| frame.rect(&track.bbox)).collect();
    let mut labels = Labels::new(canvas.measures, objects);
    frame.caption(&mut canvas, &mut labels, &scene.caption);
    scene.lines.iter().for_each(|line| frame.line_label(&mut canvas, &mut labels, line));
    scene.zones.iter().for_each(|zone| frame.zone_label(&mut canvas, &mut labels, zone));
    scene.tracks.iter().for_each(|track| frame.track_label(&mut canvas, &mut labels, track));
    canvas.into_picture()
}

/// Turns normalised coordinates into pixels, and draws each kind of item.
struct Frame {
    measures: Measures,
}

impl Frame {
    fn pixel(&self, point: Point) -> Option<Pixel> {
        if !(point.x.is_finite() && point.y.is_finite()) {
            return None;
        }
        let x = point.x.clamp(-REACH, 1.0 + REACH) as f32 * self.measures.width;
        let y = point.y.clamp(-REACH, 1.0 + REACH) as f32 * self.measures.height;
        Some(Pixel::from_xy(x, y))
    }

    /// The box on whole pixels, at least one across; `None` where nothing of it is in the picture.
    fn rect(&self, bbox: &BBox) -> Option<Rect> {
        if bbox.w < 0.0 || bbox.h < 0.0 {
            return None;
        }
        let from = self.pixel(Point { x: bbox.x, y: bbox.y })?;
        let to = self.pixel(Point { x: bbox.x + bbox.w, y: bbox.y + bbox.h })?;
        let (left, top) = (from.x.round(), from.y.round());
        let (right, bottom) = (to.x.round().max(left + 1.0), to.y.round().max(top + 1.0));
        let visible = right > 0.0 && bottom > 0.0 && left < self.measures.width && top < self.measures.height;
        Rect::from_ltrb(left, top, right, bottom).filter(|_| visible)
    }

    fn zone(&self, canvas: &mut Canvas, zone: &DrawnZone) {
        let Some(path) = self.corners(zone).and_then(polygon) else { return };
        let color = zone_color(zone);
        canvas.fill(&path, color.alpha(if zone.overcrowded { 0.32 } else { 0.2 }));
        canvas.stroke(&path, color.alpha(0.9), self.measures.stroke, LineStyle::Solid);
    }

    fn corners(&self, zone: &DrawnZone) -> Option<Vec<Pixel>> {
        let corners: Vec<Pixel> =
            zone.polygon.iter().map(|corner| self.pixel(*corner)).collect::<Option<_>>()?;
        (corners.len() >= 3).then_some(corners)
    }

    fn zone_label(&self, canvas: &mut Canvas, labels: &mut Labels, zone: &DrawnZone) {
        let Some(corners) = self.corners(zone) else { return };
        let bounds = polyline(corners.iter().copied()).map(|path| path.bounds());
        if bounds.and_then(|bounds| bounds.intersect(&canvas.area()?)).is_none() {
            return;
        }
        let (plate, detail) = if zone.overcrowded {
            (ALARM.alpha(0.92), format!("{} overcrowded", zone.occupancy))
        } else {
            (INK.alpha(PLATE), zone.occupancy.to_string())
        };
        let number = if zone.overcrowded { PAPER } else { ZONE };
        let wordings = vec![vec![Span::new(zone.name.as_str(), PAPER), Span::new(detail, number)]];
        labels.draw(canvas, &Label { wordings, plate, max_width: LABEL_WIDTH }, &self.zone_spots(&corners));
    }

    /// Inside the polygon at its corners, the highest first, then in its middle.
    fn zone_spots(&self, corners: &[Pixel]) -> Vec<Spot> {
        let count = corners.len() as f32;
        let sum = corners.iter().fold(Pixel::zero(), |sum, corner| sum + *corner);
        let middle = Pixel::from_xy(sum.x / count, sum.y / count);
        let inset = self.measures.stroke * 2.0;
        let mut spots: Vec<Spot> = corners
            .iter()
            .take(16)
            .map(|corner| {
                let (right, below) = (corner.x > middle.x, corner.y > middle.y);
                let x = corner.x + if right { -inset } else { inset };
                let y = corner.y + if below { -inset } else { inset };
                let (fx, fy) = (f32::from(u8::from(right)), f32::from(u8::from(below)));
                Spot { anchor: Pixel::from_xy(x, y), fx, fy }
            })
            .collect();
        spots.sort_by(|a, b| a.anchor.y.total_cmp(&b.anchor.y));
        spots.push(Spot { anchor: middle, fx: 0.5, fy: 0.5 });
        spots
    }

    fn trail(&self, canvas: &mut Canvas, track: &DrawnTrack) {
        let newest = track.trail.len().saturating_sub(MAX_TRAIL);
        let points: Vec<Pixel> =
            track.trail[newest..].iter().filter_map(|point| self.pixel(*point)).collect();
        let color = Rgb::of_track(track.track_id);
        let segments = points.len().saturating_sub(1);
        let steps = TRAIL_STEPS.min(segments);
        for step in 0..steps {
            let (first, last) = (step * segments / steps, (step + 1) * segments / steps);
            let Some(path) = polyline(points[first..=last].iter().copied()) else { continue };
            let age = (step + 1) as f32 / steps as f32;
            let width = self.measures.stroke * (0.75 + age);
            canvas.stroke(&path, color.alpha(age), width, LineStyle::Solid);
        }
    }

    fn outline(&self, canvas: &mut Canvas, track: &DrawnTrack) {
        let Some(rect) = self.rect(&track.bbox) else { return };
        let path = tiny_skia::PathBuilder::from_rect(rect);
        let line = if track.occluded { LineStyle::Dashed } else { LineStyle::Solid };
        let casing = if track.occluded { CASING / 2.0 } else { CASING };
        canvas.stroke(&path, INK.alpha(casing), self.measures.stroke + 2.0, LineStyle::Solid);
        canvas.stroke(&path, Rgb::of_track(track.track_id).alpha(1.0), self.measures.stroke, line);
    }

    fn track_label(&self, canvas: &mut Canvas, labels: &mut Labels, track: &DrawnTrack) {
        let Some(rect) = self.rect(&track.bbox) else { return };
        let color = Rgb::of_track(track.track_id);
        let ink = color.readable_ink();
        let (id, class) = (Span::new(track.track_id.to_string(), ink), Span::new(track.class.as_str(), ink));
        let mut wordings = vec![vec![id.clone(), class.clone()], vec![id.clone()]];
        if !track.occluded && track.confidence.is_finite() {
            let percent = format!("{:.0}%", track.confidence.clamp(0.0, 1.0) * 100.0);
            wordings.insert(0, vec![id, class, Span::new(percent, ink)]);
        }
        let plate = color.alpha(if track.occluded { 0.75 } else { 1.0 });
        labels.draw(canvas, &Label { wordings, plate, max_width: LABEL_WIDTH }, &self.box_spots(rect));
    }

    /// On top of the box, below it, beside it, then inside.
    fn box_spots(&self, rect: Rect) -> [Spot; 9] {
        let edge = self.measures.stroke / 2.0;
        let (left, right) = (rect.left() - edge, rect.right() + edge);
        let (top, bottom) = (rect.top() - edge, rect.bottom() + edge);
        let spot = |x, y, fx, fy| Spot { anchor: Pixel::from_xy(x, y), fx, fy };
        [
            spot(left, top, 0.0, 1.0),
            spot(right, top, 1.0, 1.0),
            spot(left, bottom, 0.0, 0.0),
            spot(right, bottom, 1.0, 0.0),
            spot(right, top, 0.0, 0.0),
            spot(left, top, 1.0, 0.0),
            spot(right, bottom, 0.0, 1.0),
            spot(left, bottom, 1.0, 1.0),
            spot(left, top, 0.0, 0.0),
        ]
    }

    fn line(&self, canvas: &mut Canvas, line: &DrawnLine) {
        let Some((from, to)) = self.pixel(line.from).zip(self.pixel(line.to)) else { return };
        let width = self.measures.stroke * 1.5;
        if let Some(path) = polyline([from, to]) {
            canvas.stroke(&path, INK.alpha(CASING), width + 2.0, LineStyle::Solid);
            canvas.stroke(&path, PAPER.alpha(1.0), width, LineStyle::Solid);
        }
        if let Some(path) = self.arrow(from, to) {
            canvas.stroke(&path, INK.alpha(CASING), 3.0, LineStyle::Solid);
            canvas.fill(&path, IN.alpha(1.0));
        }
    }

    /// An arrow from the middle of the line towards `in`.
    fn arrow(&self, from: Pixel, to: Pixel) -> Option<Path> {
        let inwards = right_hand(from, to)?;
        let middle = midpoint(from, to);
        let along = Pixel::from_xy(inwards.y, -inwards.x);
        let unit = self.measures.text;
        let at = |ahead: f32, aside: f32| {
            Pixel::from_xy(
                middle.x + (inwards.x * ahead + along.x * aside) * unit,
                middle.y + (inwards.y * ahead + along.y * aside) * unit,
            )
        };
        polygon([
            at(0.0, 0.16),
            at(1.0, 0.16),
            at(1.0, 0.5),
            at(1.9, 0.0),
            at(1.0, -0.5),
            at(1.0, -0.16),
            at(0.0, -0.16),
        ])
    }

    fn line_label(&self, canvas: &mut Canvas, labels: &mut Labels, line: &DrawnLine) {
        let Some((from, to)) = self.pixel(line.from).zip(self.pixel(line.to)) else { return };
        let Some(inwards) = right_hand(from, to) else { return };
        let middle = midpoint(from, to);
        let visible = (0.0..=self.measures.width).contains(&middle.x)
            && (0.0..=self.measures.height).contains(&middle.y);
        if !visible {
            return;
        }
        let wordings = vec![vec![
            Span::new(line.name.as_str(), PAPER),
            Span::new(format!("{} {}", line.in_label, line.count_in), IN),
            Span::new(format!("{} {}", line.out_label, line.count_out), OUT),
        ]];
        let distance = self.measures.text * 0.6;
        // Behind the arrow, then at the ends of the line.
        let beside = |point: Pixel, side: f32| Spot {
            anchor: Pixel::from_xy(
                point.x + inwards.x * distance * side,
                point.y + inwards.y * distance * side,
            ),
            fx: 0.5 - inwards.x * side / 2.0,
            fy: 0.5 - inwards.y * side / 2.0,
        };
        let spots =
            [beside(middle, -1.0), beside(from, -1.0), beside(to, -1.0), beside(from, 1.0), beside(to, 1.0)];
        labels.draw(canvas, &Label { wordings, plate: INK.alpha(PLATE), max_width: LABEL_WIDTH }, &spots);
    }

    fn caption(&self, canvas: &mut Canvas, labels: &mut Labels, caption: &str) {
        if caption.is_empty() {
            return;
        }
        let inset = self.measures.text * 0.5;
        let spot = Spot { anchor: Pixel::from_xy(inset, self.measures.height - inset), fx: 0.0, fy: 1.0 };
        let wordings = vec![vec![Span::new(caption, DIM)]];
        labels.draw(canvas, &Label { wordings, plate: INK.alpha(PLATE), max_width: 0.96 }, &[spot]);
    }
}

fn zone_color(zone: &DrawnZone) -> Rgb {
    if zone.overcrowded { ALARM } else { ZONE }
}

fn midpoint(from: Pixel, to: Pixel) -> Pixel {
    Pixel::from_xy((from.x + to.x) / 2.0, (from.y + to.y) / 2.0)
}

/// The unit vector to the right of somebody who looks along the line; `None` where it has no length.
fn right_hand(from: Pixel, to: Pixel) -> Option<Pixel> {
    let (dx, dy) = (to.x - from.x, to.y - from.y);
    let length = dx.hypot(dy);
    (length > 0.0).then(|| Pixel::from_xy(-dy / length, dx / length))
}
