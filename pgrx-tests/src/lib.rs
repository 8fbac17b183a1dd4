//! Real clusters, seen by an outside client: what needs two sessions, a crash, a restart or a second database.
//!
//! What a run uses is named by environment variables. What is named must be there, or the tests fail; what is not
//! named and not found is skipped with a printed message.
//!
//! | variable | what | else |
//! |---|---|---|
//! | `CAMCOUNT_PG_CONFIG` | `pg_config` of the server, with the extension installed | the workspace's `.local` server |
//! | `CAMCOUNT_RUN_AS` | the user that servers run as when the tests run as root | `postgres` |
//! | `CAMCOUNT_MODEL`, `CAMCOUNT_MODEL_HEAD` | an ONNX file and its head | YOLOX-Nano of `CAMCOUNT_DATA` |
//! | `CAMCOUNT_DATA` | a folder with `models/` | `../shared/data` beside the workspace |
//! | `CAMCOUNT_VIDEO` | a video with people walking, such as vtest.avi | |
//! | `CAMCOUNT_ONNXRUNTIME` | `libonnxruntime.so` | the extension's own setting |
//! | `CAMCOUNT_STRESS_SECONDS` | how long clients press on one queue, or on one set of time series | 10, 5 |

pub mod cluster;
pub mod material;
pub mod outcome;
pub mod queue;
pub mod server;
pub mod site;
pub mod wait;
