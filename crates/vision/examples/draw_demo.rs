//! Writes sample pictures for a person to look at: `draw_demo FRAME OUTPUT_FOLDER` annotates the picture file FRAME
//! and draws heat maps over it. The sample scene suits frame 120 of OpenCV's `vtest.avi`.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use camcount_vision::decode::Picture;
use camcount_vision::draw::{DensityGrid, DrawnLine, DrawnTrack, DrawnZone, Scene, annotate, heatmap};
use camcount_vision::geometry::Point;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(frame), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("usage: draw_demo FRAME OUTPUT_FOLDER".into());
    };
    let folder = Path::new(&folder);
    let pixels = image::open(frame)?.into_rgb8();
    let frame = Picture { width: pixels.width(), height: pixels.height(), rgb: pixels.into_raw() };

    save(&folder.join("annotated.png"), &annotate(&frame, &street()))?;
    let crowd = crowd();
    let start = Instant::now();
    let crowded = annotate(&frame, &crowd);
    println!("{} tracks annotated in {:?}", crowd.tracks.len(), start.elapsed());
    save(&folder.join("crowded.png"), &crowded)?;

    let size = (frame.width, frame.height);
    let start = Instant::now();
    let busy = heatmap(&density(), Some(&frame), size)?;
    println!("heat map drawn in {:?}", start.elapsed());
    save(&folder.join("heatmap.png"), &busy)?;
    save(&folder.join("heatmap_plain.png"), &heatmap(&density(), None, size)?)?;
    let quiet = DensityGrid { columns: 8, rows: 6, values: vec![0.0; 48] };
    save(&folder.join("heatmap_quiet.png"), &heatmap(&quiet, Some(&frame), size)?)?;
    Ok(())
}

fn save(path: &Path, picture: &Picture) -> Result<(), Box<dyn Error>> {
    image::save_buffer(path, &picture.rgb, picture.width, picture.height, image::ColorType::Rgb8)?;
    println!("{}", path.display());
    Ok(())
}

/// Corner and size in pixels of a picture of 768 x 576, and the way the person came, in pixels per point of trail.
fn person(track_id: i64, [x, y, w, h]: [f64; 4], [dx, dy]: [f64; 2]) -> DrawnTrack {
    let trail = (0..40).rev().map(|age| {
        let sway = (f64::from(age) / 5.0).sin() * 3.0;
        point(x + w / 2.0 - dx * f64::from(age), y + h - dy * f64::from(age) + sway)
    });
    DrawnTrack {
        track_id,
        class: "person".into(),
        confidence: 0.83,
        bbox: [x / 768.0, y / 576.0, w / 768.0, h / 576.0].into(),
        trail: trail.collect(),
        occluded: false,
    }
}

fn point(x: f64, y: f64) -> Point {
    Point { x: x / 768.0, y: y / 576.0 }
}

fn street() -> Scene {
    let mut hidden = person(14, [415.0, 178.0, 26.0, 80.0], [0.4, -0.8]);
    hidden.occluded = true;
    let mut van = person(3, [651.0, 42.0, 73.0, 60.0], [0.0, 0.0]);
    van.class = "vehicle".into();
    Scene {
        tracks: vec![
            person(11, [374.0, 180.0, 30.0, 84.0], [1.5, 0.8]),
            hidden,
            person(17, [509.0, 213.0, 32.0, 86.0], [-2.0, -1.2]),
            person(20, [560.0, 127.0, 25.0, 67.0], [-1.0, 1.0]),
            person(21, [586.0, 134.0, 23.0, 63.0], [-1.0, 1.2]),
            person(22, [650.0, 129.0, 27.0, 76.0], [1.2, -0.8]),
            person(25, [690.0, 207.0, 30.0, 97.0], [0.8, 2.0]),
            person(26, [166.0, 70.0, 15.0, 37.0], [-1.5, 0.4]),
            van,
        ],
        lines: vec![DrawnLine {
            name: "Cổng chính".into(),
            from: point(345.0, 312.0),
            to: point(600.0, 330.0),
            in_label: "vào".into(),
            out_label: "ra".into(),
            count_in: 128,
            count_out: 97,
        }],
        zones: vec![
            DrawnZone {
                name: "Parking".into(),
                polygon: vec![
                    point(10.0, 150.0),
                    point(320.0, 182.0),
                    point(255.0, 214.0),
                    point(5.0, 190.0),
                ],
                occupancy: 0,
                overcrowded: false,
            },
            DrawnZone {
                name: "Junction".into(),
                polygon: vec![
                    point(470.0, 200.0),
                    point(610.0, 145.0),
                    point(700.0, 150.0),
                    point(680.0, 310.0),
                    point(500.0, 300.0),
                ],
                occupancy: 5,
                overcrowded: true,
            },
        ],
        caption: "yard-1   2026-03-14 09:26:53.589 UTC   frame 120".into(),
    }
}

/// Twenty people close together.
fn crowd() -> Scene {
    let tracks = (0..20).map(|index| {
        let (column, row) = (f64::from(index % 5), f64::from(index / 5));
        let corner = [250.0 + column * 62.0 + row * 17.0, 120.0 + row * 72.0, 30.0, 80.0];
        person(i64::from(index) + 990, corner, [column - 2.0, row - 1.5])
    });
    Scene { tracks: tracks.collect(), caption: "yard-1   crowded".into(), ..Scene::default() }
}

/// Two busy paths and a doorway where people wait, on a grid of 32 x 24 cells.
fn density() -> DensityGrid {
    let (columns, rows) = (32_u32, 24_u32);
    let values = (0..rows * columns).map(|cell| {
        let (x, y) = (f64::from(cell % columns), f64::from(cell / columns));
        let path = 40.0 * (-((y - 10.0 - x * 0.12) / 1.3).powi(2)).exp();
        let road = 25.0 * (-((x - 27.0 + y * 0.5) / 1.2).powi(2)).exp();
        let doorway = 85.0 * (-((x - 16.0).powi(2) + (y - 10.0).powi(2)) / 3.0).exp();
        let total = path + road + doorway;
        if total < 1.0 { 0.0 } else { total }
    });
    DensityGrid { columns, rows, values: values.collect() }
}
