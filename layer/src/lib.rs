//! Image layers: what is in them, how they are read, compared, written and compressed.
//!
//! A layer has a table of contents ([`Toc`]): every entry with its metadata and the digest of its bytes. The
//! builder decides COPY, `COPY --from` and cache keys on tables of contents alone; files are only opened when a
//! layer is really written. A [`TreeView`] is the file tree that a chain of layers makes.
//!
//! The crate knows nothing of registries, stores or Dockerfiles, and it never follows a path out of its root.
#![forbid(unsafe_code)]

mod toc;
mod view;

pub use toc::{ContentDigest, Entry, EntryKind, Mtime, Toc};
pub use view::{Found, Resolved, TreeView};
