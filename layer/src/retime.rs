//! Layer blobs with other times.

use std::io::Read;

use oci_spec::image::Digest;

use crate::path::check;
use crate::tar_format::{padding, put_headers};
use crate::tar_read::TarReader;
use crate::tar_sink::TarSink;
use crate::unpack::{clean, copy_hashed, to_entry};
use crate::{BlobInfo, BlobTarget, EntryKind, LayerError, Limits, Mtime};

/// A layer blob with other times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retimed {
    /// SHA-256 of the uncompressed tar.
    pub diff_id: Digest,
    /// The blob.
    pub blob: BlobInfo,
    /// Size of the tar.
    pub uncompressed_size: u64,
}

/// Copies an uncompressed layer tar and sets every time that is later than `latest` (seconds since 1970) to it, as
/// `rewrite-timestamp=true` asks for.
///
/// Entries keep their order, whiteouts stay what they are. The bytes are those that [`crate::write_layer`] makes of the
/// same entries, whoever wrote the tar.
pub fn clamp_times(
    tar: impl Read,
    latest: i64,
    target: BlobTarget<'_>,
    limits: Limits,
) -> Result<Retimed, LayerError> {
    let mut sink = TarSink::new(Some(target), true)?;
    let mut reader = TarReader::new(tar, limits.bytes);
    let mut headers = Vec::new();
    let mut entries = 0;
    while let Some(raw) = reader.next_entry()? {
        entries += 1;
        if entries > limits.entries {
            return Err(LayerError::Limit { what: "entries", limit: limits.entries });
        }
        let path = clean(&raw.path);
        if path.is_empty() {
            continue;
        }
        check(&path)?;
        let mut entry = to_entry(&raw, path)?;
        entry.mtime = Mtime { secs: entry.mtime.secs.min(latest), nanos: 0 };
        if let EntryKind::Hardlink { target } = &mut entry.kind {
            *target = clean(target);
        }
        headers.clear();
        put_headers(&mut headers, &entry);
        sink.put(&headers)?;
        if let EntryKind::File { size, .. } = entry.kind {
            copy_hashed(&mut reader, &mut sink, &entry.path, size)?;
            sink.put(padding(size))?;
        }
    }
    reader.drain()?;
    let sunk = sink.finish()?;
    let (Some(diff_id), Some(blob)) = (sunk.diff_id, sunk.blob) else { unreachable!("both were asked for") };
    Ok(Retimed { diff_id, blob, uncompressed_size: sunk.size })
}
