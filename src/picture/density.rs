//! Where people stood, as a heat map.

use camcount_vision::decode::{Picture, encode_png};
use camcount_vision::draw::{DensityGrid, heatmap};
use pgrx::Spi;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::arguments::{moment, name};
use crate::database;
use crate::error::{Error, Result};

/// Size where no frame is kept, in pixels.
const SIZE: (u32, u32) = (960, 720);

/// A PNG heat map of a camera: person-seconds in each cell of its density grid from `p_from` up to, not including,
/// `p_to`, in whole minutes, over the camera's latest frame where one is kept. `p_pipeline_id` chooses among several
/// pipelines; without it the busiest is shown.
#[pg_extern]
fn density_image(
    p_camera_id: Option<&str>,
    p_from: Option<TimestampWithTimeZone>,
    p_to: Option<TimestampWithTimeZone>,
    p_pipeline_id: default!(Option<&str>, "NULL"),
) -> Result<Vec<u8>, ErrorReport> {
    let camera_id = name(p_camera_id, "p_camera_id")?;
    if moment(p_from, "p_from")? >= moment(p_to, "p_to")? {
        return Err(Error::invalid("p_to", "must be later than p_from").into());
    }
    let grid = read_grid(camera_id, p_from, p_to, p_pipeline_id)?;
    let background = latest_picture(camera_id, p_to)?;
    let size = background.as_ref().map_or(SIZE, |picture| (picture.width, picture.height));
    let picture = heatmap(&grid, background.as_ref(), size)
        .map_err(|error| Error::invalid("p_camera_id", error.to_string()))?;
    Ok(encode_png(&picture).map_err(|error| Error::Runtime(error.to_string()))?)
}

/// The cells' sums. Grids of different sizes are different pictures: the one with the most in it is shown.
fn read_grid(
    camera_id: &str,
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    pipeline_id: Option<&str>,
) -> Result<DensityGrid> {
    const CELLS: &str = include_str!("density.sql");
    let arguments = [camera_id.into(), from.into(), to.into(), pipeline_id.into()];
    Spi::connect_mut(|client| {
        let mut grid = DensityGrid { columns: 1, rows: 1, values: vec![0.0] };
        for row in database::execute(client, CELLS, &arguments)? {
            let (Some(columns), Some(rows)) = (row.get::<i32>(1)?, row.get::<i32>(2)?) else { continue };
            let (columns, rows) = (columns.unsigned_abs(), rows.unsigned_abs());
            if (grid.columns, grid.rows) != (columns, rows) {
                grid = DensityGrid { columns, rows, values: vec![0.0; columns as usize * rows as usize] };
            }
            if let (Some(x), Some(y), Some(seconds)) =
                (row.get::<i32>(3)?, row.get::<i32>(4)?, row.get::<f64>(5)?)
                && let Some(value) =
                    grid.values.get_mut((y.unsigned_abs() * columns + x.unsigned_abs()) as usize)
            {
                *value = seconds;
            }
        }
        Ok(grid)
    })
}

fn latest_picture(camera_id: &str, to: Option<TimestampWithTimeZone>) -> Result<Option<Picture>> {
    const LATEST: &str = "SELECT image FROM camcount.frames WHERE camera_id = $1
        ORDER BY frame_timestamp < $2 DESC, frame_timestamp DESC LIMIT 1";
    let image = database::value::<Vec<u8>>(LATEST, &[camera_id.into(), to.into()])?;
    Ok(image.and_then(|image| super::decode(&image).ok()))
}
