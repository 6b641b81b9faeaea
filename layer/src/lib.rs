//! Image layers: what is in them, how they are read, compared, written and compressed.
//!
//! A layer has a table of contents ([`Toc`]): every entry with its metadata and the digest of its bytes. The
//! builder decides COPY, `COPY --from` and cache keys on tables of contents alone; files are only opened when a
//! layer is really written. A [`TreeView`] is the file tree that a chain of layers makes.
//!
//! - [`walk`] makes the table of a folder, [`diff_overlay`] and [`diff_trees`] the entries that a RUN changed;
//! - [`write_layer`] turns planned entries into a tar blob, a folder for overlayfs and a table, in one pass;
//! - [`unpack_layer`] turns a tar stream into a folder and a table, [`unpack_archive`] does what ADD does;
//! - [`clamp_times`] copies a blob with earlier times;
//! - [`Encoder`] compresses on several threads to the same bytes every time, [`decompress`] reads by content.
//!
//! The crate knows nothing of registries, stores or Dockerfiles, and it never follows a path out of its root.
#![forbid(unsafe_code)]

mod archive;
mod beneath;
mod compress;
mod decompress;
mod deflate;
mod delta;
mod diff;
mod digest;
mod error;
mod path;
mod pgz;
mod place;
mod planned;
mod pool;
mod read_ahead;
mod retime;
mod scan;
mod sha256;
mod stat_cache;
mod tar_borders;
mod tar_format;
mod tar_read;
mod tar_sink;
#[cfg(test)]
mod testing;
mod toc;
mod toc_codec;
mod unpack;
mod unpack_tree;
mod view;
mod walk;
mod withheld;
mod write;

pub use archive::{ArchiveOptions, is_archive, unpack_archive};
pub use beneath::{Beneath, Ids};
pub use compress::{BlobInfo, BlockCache, Compression, Encoder, MemoryBlockCache};
pub use decompress::{decompress, decompress_archive};
pub use delta::Delta;
pub use diff::{DiffOptions, TreeStamp, diff_overlay, diff_trees};
pub use digest::{TreeHasher, digest_of};
pub use error::LayerError;
pub use path::split as split_path;
pub use planned::{Content, Open, Planned};
pub use read_ahead::ReadAhead;
pub use retime::{Retimed, clamp_times};
pub use stat_cache::{FileStamp, StatCache};
pub use toc::{ContentDigest, Entry, EntryKind, Mtime, Toc};
pub use unpack::{Devices, Form, Limits, UnpackOptions, unpack_layer};
pub use view::{Found, Resolved, TreeView, Walk};
pub use walk::{Verdict, WalkOptions, walk};
pub use withheld::Withheld;
pub use write::{BlobTarget, Targets, Written, write_layer};
