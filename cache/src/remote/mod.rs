//! Caches that builds on different machines share: segments, what they say together, and where they are kept.

mod adopt;
pub mod buildkit;
mod catalog;
mod registry;
mod segment;

pub use adopt::{TocSource, pack_toc};
pub use catalog::Catalog;
pub use registry::RegistryCache;
pub use segment::{MEDIA_TYPE as SEGMENT_MEDIA_TYPE, Segment, SegmentBlob, SegmentLayer, SegmentRecord};
