//! The local store: everything that Garboard keeps on disk between builds.
//!
//! One root folder holds blobs (as a valid OCI image layout), layers (folder form and table of contents), build
//! records, image names, cache mounts and the small caches of other crates. Any number of processes may use one root
//! at once and any of them may be killed at any moment: big things are made under `tmp/` and renamed, facts about
//! them are in SQLite, and a process's leases vanish with the process.
//!
//! [`remote`] holds caches that builds on other machines share.
//!
//! The crate knows nothing of Dockerfiles, reads no environment and prints nothing. All calls of the store block.
//!
//! ```text
//! version                format of everything below
//! oci-layout index.json  the OCI image layout with the named images
//! blobs/sha256/HEX       blobs that are safely on disk
//! fresh/BOOT/sha256/HEX  blobs that are only as durable as this boot of the machine, see [`Store::flush`]
//! layers/ID/fs           a layer as a folder (overlay form)
//! layers/ID/toc          its table of contents, unless that is small
//! cachemounts/HASH/N/    contents of cache mounts
//! stat/ blocks/          digests of context files; compressed blocks
//! tmp/PID-RANDOM/        what a live process is making, and its leases; held by a lock
//! locks/                 files that locks are taken on
//! stubs/                 empty folders on which the sandbox mounts
//! reserve                takes up space, to be given up when the disk is full
//! db.sqlite              layers, small tables of contents, build records, small facts
//! ```
#![forbid(unsafe_code)]

mod blob;
mod blocks;
mod bounds;
mod db;
mod error;
mod files;
mod fsck;
mod image;
mod layer;
mod layout;
mod lease;
mod lock;
mod mount;
mod origin;
mod process;
mod prune;
mod record;
pub mod remote;
mod remove;
mod reserve;
mod staging;
mod store;
mod sweep;
#[cfg(test)]
mod testing;
mod toc;
mod usage;

pub use blob::BlobWriter;
pub use blocks::BlockStore;
pub use error::CacheError;
pub use fsck::Problem;
pub use image::ImageName;
pub use layer::{LayerBlob, LayerId, LayerInfo};
pub use lease::Lease;
pub use lock::LockGuard;
pub use mount::{CacheMountGuard, CacheMountKey, CacheMountRequest, InitialContent, Sharing};
pub use origin::{Origin, Place};
pub use prune::{PruneOptions, PruneReport};
pub use record::{Key, Record};
pub use staging::{NewLayer, Scratch, Staging};
pub use store::{Clock, OpenOptions, Store};
pub use usage::{UsageItem, UsageKind};

/// What every call of this crate returns.
pub type Result<T, E = CacheError> = std::result::Result<T, E>;
