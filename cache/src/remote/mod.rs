//! Caches that builds on different machines share: segments, what they say together, and where they are kept.

mod actions;
mod adopt;
mod backend;
pub mod buildkit;
mod catalog;
mod fold;
mod local;
mod name;
mod registry;
mod s3;
mod segment;

pub use actions::{ActionsCache, ActionsCacheSettings};
pub(crate) use adopt::CLAIMED;
pub use adopt::{TocSource, pack_toc};
pub use backend::{Backend, Found, LocalSettings, Reach, Settings};
pub use catalog::Catalog;
pub use local::LocalCache;
pub use registry::RegistryCache;
pub use s3::{BucketSettings, S3Cache};
pub use segment::{
    MEDIA_TYPE as SEGMENT_MEDIA_TYPE, Segment, SegmentBlob, SegmentLayer, SegmentMount, SegmentRecord,
};
