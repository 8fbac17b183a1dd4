//! What a pipeline is told to do: its configuration, and its processing steps.

mod config;
pub mod steps;
mod validate;

pub use config::{
    Anchor, ConfigError, DensityConfig, EDGE_SCORE_THRESHOLD, EventKind, LineConfig, OutputConfig,
    OvercrowdingConfig, PipelineConfig, PipelineType, Rearm, UnknownPipelineType, ZoneConfig,
};
pub use validate::{
    MAX_CAMERAS, MAX_CLASSES, MAX_DIRECTION_NAME, MAX_GRID_SIDE, MAX_LINES, MAX_NAME, MAX_POLYGON_POINTS,
    MAX_SECONDS, MAX_SHAPE_NAME, MAX_ZONES,
};
