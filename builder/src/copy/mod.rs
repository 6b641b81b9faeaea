//! Plans COPY, and ADD of plain files: which entries the new layer has, and where their bytes come from.
//!
//! Everything is decided on tables of contents: the source tree and the destination tree are [`TreeView`]s, and no
//! file is opened. The same walk over the sources gives the plan ([`plan`]) and the content part of the cache key
//! ([`selection_digest`]), so that what is written and what is keyed can't drift apart.
//!
//! What this module does not do: read contexts, unpack archives, download, write layers.
//!
//! ```
//! use garboard_builder::copy::{CopyOp, CopySource, plan};
//! use garboard_layer::{Mtime, TreeView};
//!
//! let file = CopySource::Inline { name: "motd".into(), content: b"hello\n".to_vec() };
//! let op = CopyOp::new(vec![file], "/etc/");
//! let entries = plan(&op, &TreeView::default(), &TreeView::default(), Mtime { secs: 7, nanos: 0 })?;
//! let paths: Vec<&[u8]> = entries.iter().map(|e| e.entry.path.as_slice()).collect();
//! assert_eq!(paths, [b"etc".as_slice(), b"etc/motd"]);
//! # Ok::<(), garboard_builder::copy::CopyError>(())
//! ```
//!
//! [`TreeView`]: garboard_layer::TreeView

mod accounts;
#[cfg(test)]
mod cases;
mod digest;
mod error;
mod filter;
mod finish;
mod ignored;
mod needed;
mod op;
mod path;
mod plan;
#[cfg(test)]
mod properties;
mod select;
mod target;
#[cfg(test)]
mod testing;
mod visit;

pub use accounts::{Accounts, account_files, needs_lookup, resolve_chown};
pub use digest::selection_digest;
pub use error::{CopyError, IgnoreReason};
pub use ignored::ignore_reason;
pub use needed::{followed_paths, needed_paths};
pub use op::{CopyOp, CopySource, Owner, PlannedEntry, SourceContent, join_destination};
pub use plan::{plan, plan_folder, plan_selected};
pub use select::{Selected, Selection, selection};
