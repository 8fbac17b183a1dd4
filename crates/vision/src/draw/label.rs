//! Labels: coloured words on a filled plate, placed so that they stay in the picture and off each other.

use tiny_skia::{Color, Point, Rect};

use super::canvas::{Canvas, Measures, rounded};
use super::palette::Rgb;
use super::text::TextLine;

/// The most labels in a picture: more would hide it, and each is weighed against all before it.
const MAX_LABELS: usize = 300;
/// How much worse covering another label is than covering a tracked object.
const LABEL_OVERLAP_WEIGHT: f32 = 8.0;

/// Words in one colour.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub text: String,
    pub ink: Rgb,
}

impl Span {
    pub fn new(text: impl Into<String>, ink: Rgb) -> Self {
        Self { text: text.into(), ink }
    }
}

/// What a label says.
#[derive(Clone, Debug)]
pub(super) struct Label {
    /// The spans from the left, in the wordings to try: the fullest first.
    pub wordings: Vec<Vec<Span>>,
    pub plate: Color,
    /// The widest it may get, as a fraction of the picture's width.
    pub max_width: f32,
}

/// Where a label may go: the point `anchor` of the picture touches the label at the fraction `fx`, `fy` of its size
/// (0, 0 is its top left corner).
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    pub anchor: Point,
    pub fx: f32,
    pub fy: f32,
}

/// Draws labels one after the other, and remembers where they are.
pub(super) struct Labels {
    measures: Measures,
    placed: Vec<Rect>,
    objects: Vec<Rect>,
}

struct Worded {
    lines: Vec<(TextLine, Rgb)>,
    width: f32,
}

struct Place {
    rect: Rect,
    covers_label: bool,
    /// Weighted square pixels covered.
    cost: f32,
}

impl Labels {
    /// `objects` are areas which labels had better not cover.
    pub fn new(measures: Measures, objects: Vec<Rect>) -> Self {
        Self { measures, placed: Vec::new(), objects }
    }

    /// Draws `label` at the best of `spots`: in its fullest wording if that covers nothing, else in the next that
    /// covers no label, else in the shortest. After [`MAX_LABELS`] nothing is drawn.
    pub fn draw(&mut self, canvas: &mut Canvas, label: &Label, spots: &[Spot]) {
        if self.placed.len() >= MAX_LABELS {
            return;
        }
        let mut choice = None;
        for (index, wording) in label.wordings.iter().enumerate() {
            let worded = self.word(wording, label.max_width);
            let Some(place) = self.best(&worded, spots) else { continue };
            let fits = if index == 0 { place.cost == 0.0 } else { !place.covers_label };
            choice = Some((worded, place.rect));
            if fits {
                break;
            }
        }
        let Some((worded, rect)) = choice else { return };
        if let Some(plate) = rounded(rect, self.measures.text * 0.2) {
            canvas.fill(&plate, label.plate);
        }
        let (mut x, y) = (rect.left() + self.pad(), rect.top() + self.pad() / 4.0);
        for (line, ink) in &worded.lines {
            canvas.text(line, Point::from_xy(x, y), *ink);
            x += line.width + self.gap();
        }
        self.placed.push(rect);
    }

    fn word(&self, wording: &[Span], max_width: f32) -> Worded {
        let mut room = (self.measures.width * max_width - 2.0 * self.pad()).max(0.0);
        let mut width = 2.0 * self.pad() - self.gap();
        let mut lines = Vec::with_capacity(wording.len());
        for (index, span) in wording.iter().enumerate() {
            // A long first span leaves the others, which hold the numbers, their share.
            let share = room / if index == 0 { wording.len().min(2) as f32 } else { 1.0 };
            let line = TextLine::new(&span.text, self.measures.text, share);
            room = (room - line.width - self.gap()).max(0.0);
            width += line.width + self.gap();
            lines.push((line, span.ink));
        }
        Worded { lines, width: width.ceil() }
    }

    /// The place that covers least; the earliest of equals.
    fn best(&self, worded: &Worded, spots: &[Spot]) -> Option<Place> {
        let height = (self.measures.text + self.pad() / 2.0).ceil();
        let mut best: Option<Place> = None;
        for spot in spots {
            let x = spot.anchor.x - spot.fx * worded.width;
            let y = spot.anchor.y - spot.fy * height;
            let x = x.min(self.measures.width - worded.width).max(0.0).round();
            let y = y.min(self.measures.height - height).max(0.0).round();
            let Some(rect) = Rect::from_xywh(x, y, worded.width, height) else { continue };
            let on_labels = covered(&rect, &self.placed);
            let cost = on_labels * LABEL_OVERLAP_WEIGHT + covered(&rect, &self.objects);
            if best.as_ref().is_none_or(|best| cost < best.cost) {
                best = Some(Place { rect, covers_label: on_labels > 0.0, cost });
            }
        }
        best
    }

    fn pad(&self) -> f32 {
        (self.measures.text * 0.3).round()
    }

    fn gap(&self) -> f32 {
        self.measures.text * 0.45
    }
}

/// The area that `rect` shares with `others`, in square pixels.
fn covered(rect: &Rect, others: &[Rect]) -> f32 {
    others.iter().filter_map(|other| rect.intersect(other)).map(|both| both.width() * both.height()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Picture;
    use crate::draw::palette::{INK, PAPER};

    fn label(text: &str) -> Label {
        let wordings =
            vec![vec![Span::new(text, PAPER), Span::new("12", PAPER)], vec![Span::new("12", PAPER)]];
        Label { wordings, plate: INK.alpha(1.0), max_width: 0.6 }
    }

    /// The places of labels with all the given anchors as their only spots, one after the other.
    fn place(size: (u32, u32), objects: Vec<Rect>, spots: &[&[Spot]]) -> Vec<Rect> {
        let rgb = vec![0; size.0 as usize * size.1 as usize * 3];
        let picture = Picture { width: size.0, height: size.1, rgb };
        let mut canvas = Canvas::over(&picture).expect("a picture with pixels");
        let mut labels = Labels::new(canvas.measures, objects);
        spots.iter().for_each(|spots| labels.draw(&mut canvas, &label("Entrance"), spots));
        labels.placed
    }

    fn spot(x: f32, y: f32) -> Spot {
        Spot { anchor: Point::from_xy(x, y), fx: 0.0, fy: 1.0 }
    }

    #[test]
    fn labels_stay_in_the_picture() {
        for anchor in [(-500.0, -500.0), (0.0, 0.0), (398.0, 2.0), (900.0, 900.0), (200.0, 299.0)] {
            let rect = place((400, 300), Vec::new(), &[&[spot(anchor.0, anchor.1)]])[0];
            assert!(rect.left() >= 0.0 && rect.top() >= 0.0, "{rect:?}");
            assert!(rect.right() <= 400.0 && rect.bottom() <= 300.0, "{rect:?}");
        }
    }

    #[test]
    fn a_label_goes_where_no_other_is() {
        let spots: &[Spot] = &[spot(100.0, 100.0), spot(100.0, 200.0)];
        let placed = place((400, 300), Vec::new(), &[spots, spots]);
        assert!(placed[0].intersect(&placed[1]).is_none(), "{placed:?}");
    }

    #[test]
    fn a_label_is_shortened_before_it_covers_another() {
        let placed = place((400, 300), Vec::new(), &[&[spot(100.0, 100.0)], &[spot(70.0, 100.0)]]);
        assert!(placed[0].intersect(&placed[1]).is_none(), "{placed:?}");
        assert!(placed[1].width() < placed[0].width(), "{placed:?}");
    }

    #[test]
    fn a_label_prefers_not_to_cover_an_object() {
        let object = Rect::from_xywh(90.0, 60.0, 100.0, 60.0).expect("a rectangle");
        let placed = place((400, 300), vec![object], &[&[spot(100.0, 100.0), spot(100.0, 200.0)]]);
        assert!(placed[0].intersect(&object).is_none(), "{placed:?}");
    }

    #[test]
    fn however_many_labels_are_asked_for_the_work_is_bounded() {
        let spots: &[Spot] = &[spot(100.0, 100.0)];
        assert_eq!(place((400, 300), Vec::new(), &[spots; 2 * MAX_LABELS]).len(), MAX_LABELS);
    }
}
