//! A folder of images, sent as they are in the natural order of their names.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Frame, FrameRate, MAX_IMAGE_BYTES, Source, SourceError, SourceOptions, Timeline, display_name};

/// Reads the `.jpg`, `.jpeg` and `.png` files of one folder; `frame9.jpg` comes before `frame10.jpg`.
#[derive(Debug)]
pub struct FolderSource {
    name: String,
    timeline: Timeline,
    images: Vec<PathBuf>,
    next: usize,
    remark: Option<String>,
}

impl FolderSource {
    /// Lists the folder. Files that come later are not seen.
    ///
    /// # Errors
    /// When the folder cannot be listed or holds no image.
    pub fn open(path: &Path, options: SourceOptions) -> Result<Self, SourceError> {
        let images = images_in(path)?;
        let rate = options.rate.unwrap_or(FrameRate::COMMON);
        let assumed = || format!("a folder has no frame rate: taking {rate} (--fps changes it)");
        Ok(Self {
            name: display_name(path),
            timeline: Timeline::new(options.start, rate),
            images,
            next: 0,
            remark: options.rate.is_none().then(assumed),
        })
    }
}

impl Source for FolderSource {
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        let Some(path) = self.images.get(self.next) else { return Ok(None) };
        self.next += 1;
        let number = i64::try_from(self.next).unwrap_or(i64::MAX);
        let metadata = json!({ "source": self.name, "file": display_name(path) });
        Ok(Some(Frame { number, timestamp: self.timeline.at(number)?, image: read_image(path)?, metadata }))
    }

    fn frame_rate(&self) -> FrameRate {
        self.timeline.rate()
    }

    fn frame_count(&self) -> Option<u64> {
        Some(self.images.len() as u64)
    }

    fn take_remark(&mut self) -> Option<String> {
        self.remark.take()
    }
}

fn images_in(folder: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let read_error = |error| SourceError::read(folder, error);
    let mut images = Vec::new();
    for entry in fs::read_dir(folder).map_err(read_error)? {
        let path = entry.map_err(read_error)?.path();
        if is_image_name(&path) && path.is_file() {
            images.push(path);
        }
    }
    if images.is_empty() {
        return Err(SourceError::NoImages(folder.to_path_buf()));
    }
    alphanumeric_sort::sort_path_slice(&mut images);
    Ok(images)
}

fn is_image_name(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    !hidden && extension.is_some_and(|extension| ["jpg", "jpeg", "png"].contains(&extension.as_str()))
}

fn read_image(path: &Path) -> Result<Vec<u8>, SourceError> {
    let read_error = |error| SourceError::read(path, error);
    let bytes = fs::metadata(path).map_err(read_error)?.len();
    if bytes > MAX_IMAGE_BYTES {
        return Err(SourceError::TooLarge { path: path.to_path_buf(), bytes });
    }
    fs::read(path).map_err(read_error)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn options(rate: Option<FrameRate>) -> SourceOptions {
        SourceOptions { start: DateTime::from_timestamp(0, 0).unwrap(), rate, quality: 3 }
    }

    fn folder_with(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(folder.path().join(name), name).unwrap();
        }
        folder
    }

    #[test]
    fn images_come_in_the_natural_order_of_their_names_as_they_are() {
        let folder =
            folder_with(&["f10.jpg", "f9.PNG", "f1.jpeg", "f010b.jpg", "notes.txt", "._f2.jpg", "jpg"]);
        fs::create_dir(folder.path().join("f3.jpg")).unwrap();
        let mut source = FolderSource::open(folder.path(), options(FrameRate::new(2, 1))).unwrap();
        assert_eq!(source.frame_count(), Some(4));
        let frames: Vec<Frame> = std::iter::from_fn(|| source.next_frame().unwrap()).collect();
        let names: Vec<&str> =
            frames.iter().map(|frame| std::str::from_utf8(&frame.image).unwrap()).collect();
        assert_eq!(names, ["f1.jpeg", "f9.PNG", "f10.jpg", "f010b.jpg"]);
        assert_eq!(frames.iter().map(|frame| frame.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(frames[3].timestamp.timestamp_micros(), 1_500_000);
        assert_eq!(frames[1].metadata["file"], "f9.PNG");
        assert_eq!(source.take_remark(), None);
    }

    #[test]
    fn an_assumed_rate_is_announced() {
        let folder = folder_with(&["a.jpg"]);
        let mut source = FolderSource::open(folder.path(), options(None)).unwrap();
        assert_eq!(source.frame_rate(), FrameRate::new(10, 1).unwrap());
        assert!(source.take_remark().unwrap().contains("taking 10 fps"));
    }

    #[test]
    fn an_empty_folder_and_a_vanished_image_are_errors() {
        let empty = folder_with(&["readme.md"]);
        assert!(matches!(FolderSource::open(empty.path(), options(None)), Err(SourceError::NoImages(_))));
        let folder = folder_with(&["a.jpg"]);
        let mut source = FolderSource::open(folder.path(), options(None)).unwrap();
        fs::remove_file(folder.path().join("a.jpg")).unwrap();
        assert!(source.next_frame().unwrap_err().to_string().contains("a.jpg"));
    }
}
