//! Planned entries to a tar blob, a folder and a table of contents, in one pass.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use oci_spec::image::Digest;

use crate::path::{check, display};
use crate::place::Placer;
use crate::tar_format::{padding, put_headers};
use crate::tar_sink::TarSink;
use crate::{
    BlobInfo, Compression, Content, ContentDigest, Encoder, Entry, EntryKind, Ids, LayerError, Mtime,
    Planned, Toc,
};

/// How much of a file is read at once.
const CHUNK: usize = 256 * 1024;

/// Where the blob goes and how it is compressed.
pub struct BlobTarget<'a> {
    /// Gets the compressed bytes in order.
    pub sink: &'a mut dyn Write,
    /// The method.
    pub compression: Compression,
    /// Its level; none: 6 for gzip, 3 for zstd.
    pub level: Option<i32>,
    /// Threads and block cache.
    pub encoder: &'a Encoder,
}

/// What is to be made of the entries. The table of contents is always made.
#[derive(Default)]
pub struct Targets<'a> {
    /// A blob.
    pub blob: Option<BlobTarget<'a>>,
    /// The layer as a folder for overlayfs; it exists and is empty.
    pub folder: Option<&'a Path>,
    /// Whether the diff ID is wanted even without a blob.
    pub diff_id: bool,
    /// What the process may do with owners in the folder.
    pub ids: Ids,
}

/// What was made.
#[derive(Clone, Debug)]
pub struct Written {
    /// The table of contents. Times are whole seconds, as the tar has them.
    pub toc: Toc,
    /// SHA-256 of the uncompressed tar; there if a blob or the diff ID was asked for.
    pub diff_id: Option<Digest>,
    /// The blob, if one was asked for.
    pub blob: Option<BlobInfo>,
    /// Size of the tar.
    pub uncompressed_size: u64,
}

/// Writes a layer. Files are opened once, read once and never held in memory; entries go out in the given order,
/// except that hard links whose target has not come yet go to the end. In the folder times keep their nanoseconds.
///
/// ```
/// use garboard_layer::{Compression, BlobTarget, Encoder, Entry, EntryKind, Mtime, Planned, Targets, write_layer};
/// # use garboard_layer::ContentDigest;
/// let entry = Entry {
///     path: b"hello".to_vec(),
///     kind: EntryKind::File { size: 0, digest: ContentDigest::ZERO },
///     mode: 0o644,
///     uid: 0,
///     gid: 0,
///     mtime: Mtime { secs: 1_700_000_000, nanos: 0 },
///     xattrs: Default::default(),
/// };
/// let encoder = Encoder::new(1, None);
/// let mut blob = Vec::new();
/// let target =
///     BlobTarget { sink: &mut blob, compression: Compression::Gzip, level: None, encoder: &encoder };
/// let items = [Ok(Planned::bytes(entry, *b"hello, world\n"))];
/// let written = write_layer(items, Targets { blob: Some(target), ..Targets::default() })?;
/// assert_eq!(written.blob.map(|b| b.size), Some(blob.len() as u64));
/// # Ok::<(), garboard_layer::LayerError>(())
/// ```
pub fn write_layer<I>(items: I, targets: Targets<'_>) -> Result<Written, LayerError>
where
    I: IntoIterator<Item = Result<Planned, LayerError>>,
{
    let mut writer = Writer::new(targets)?;
    let mut waiting = Vec::new();
    for item in items {
        let planned = item?;
        check(&planned.entry.path)?;
        match &planned.entry.kind {
            EntryKind::Hardlink { target } if !writer.has_file(target) => waiting.push(planned),
            _ => writer.put(planned)?,
        }
    }
    for planned in waiting {
        if let EntryKind::Hardlink { target } = &planned.entry.kind
            && !writer.has_file(target)
        {
            return Err(LayerError::BrokenHardlink {
                path: display(&planned.entry.path),
                target: display(target),
            });
        }
        writer.put(planned)?;
    }
    writer.finish()
}

struct Writer<'a> {
    tar: TarSink<'a>,
    folder: Option<Placer>,
    entries: Vec<Entry>,
    /// Paths of the files in `entries`; made when the first hard link asks.
    files: Option<HashSet<Vec<u8>>>,
    headers: Vec<u8>,
    chunk: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn new(targets: Targets<'a>) -> Result<Self, LayerError> {
        let folder = targets.folder.map(|path| Placer::new(path, targets.ids)).transpose()?;
        Ok(Self {
            tar: TarSink::new(targets.blob, targets.diff_id)?,
            folder,
            entries: Vec::new(),
            files: None,
            headers: Vec::new(),
            chunk: Vec::new(),
        })
    }

    fn has_file(&mut self, path: &[u8]) -> bool {
        let entries = &self.entries;
        let files = self.files.get_or_insert_with(|| {
            let files = entries.iter().filter(|e| matches!(e.kind, EntryKind::File { .. }));
            files.map(|e| e.path.clone()).collect()
        });
        files.contains(path)
    }

    fn put(&mut self, planned: Planned) -> Result<(), LayerError> {
        let Planned { mut entry, content } = planned;
        let nanos = entry.mtime.nanos;
        entry.mtime.nanos = 0;
        if entry.kind == EntryKind::Whiteout {
            entry = Entry { mode: 0, uid: 0, gid: 0, xattrs: std::collections::BTreeMap::new(), ..entry };
        }
        self.headers.clear();
        put_headers(&mut self.headers, &entry);
        self.tar.put(&self.headers)?;
        let precise = Mtime { nanos, ..entry.mtime };
        if let EntryKind::File { size, digest } = entry.kind {
            let found = self.file(&entry, precise, &content, size)?;
            if !digest.is_zero() && digest != found {
                return Err(LayerError::ContentChanged { path: display(&entry.path) });
            }
            entry.kind = EntryKind::File { size, digest: found };
            if let Some(files) = &mut self.files {
                files.insert(entry.path.clone());
            }
        } else if let Some(folder) = &mut self.folder {
            let placed = Entry { mtime: precise, ..entry.clone() };
            match entry.kind {
                EntryKind::Dir { .. } => folder.dir(&placed)?,
                _ => match folder.special(&placed) {
                    // As where layers are unpacked: the blob and the table of contents have the device.
                    Err(LayerError::Device { .. }) if placed.kind != EntryKind::Whiteout => {}
                    made => made?,
                },
            }
        }
        self.entries.push(entry);
        Ok(())
    }

    /// Writes a file's content everywhere and digests it.
    fn file(
        &mut self,
        entry: &Entry,
        mtime: Mtime,
        from: &Content,
        size: u64,
    ) -> Result<ContentDigest, LayerError> {
        let mut copy = self.folder.as_mut().map(|folder| folder.file(&entry.path)).transpose()?;
        let open = |opened: io::Result<File>| opened.map_err(|e| LayerError::io("open", &entry.path, e));
        let digest = match from {
            Content::None => self.content(entry, io::empty(), size, copy.as_mut())?,
            Content::Bytes(bytes) => self.content(entry, &bytes[..], size, copy.as_mut())?,
            Content::File(path) => self.content(entry, open(File::open(path))?, size, copy.as_mut())?,
            Content::Opener(opener) => self.content(entry, open(opener.open())?, size, copy.as_mut())?,
        };
        if let (Some(folder), Some(copy)) = (&self.folder, &copy) {
            folder.seal(copy, &Entry { mtime, ..entry.clone() })?;
        }
        Ok(digest)
    }

    fn content(
        &mut self,
        entry: &Entry,
        mut from: impl Read,
        size: u64,
        mut copy: Option<&mut File>,
    ) -> Result<ContentDigest, LayerError> {
        let changed = |found| LayerError::SizeChanged { path: display(&entry.path), expected: size, found };
        let mut hasher = blake3::Hasher::new();
        let mut done = 0;
        self.chunk.resize(CHUNK, 0);
        loop {
            let n = match from.read(&mut self.chunk) {
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(LayerError::io("read", &entry.path, e)),
            };
            if n == 0 {
                break;
            }
            done += n as u64;
            if done > size {
                return Err(changed(size + 1));
            }
            let data = &self.chunk[..n];
            hasher.update(data);
            self.tar.put(data)?;
            if let Some(copy) = &mut copy {
                copy.write_all(data).map_err(|e| LayerError::io("write", &entry.path, e))?;
            }
        }
        if done < size {
            return Err(changed(done));
        }
        self.tar.put(padding(size))?;
        Ok(ContentDigest(*hasher.finalize().as_bytes()))
    }

    fn finish(self) -> Result<Written, LayerError> {
        if let Some(folder) = self.folder {
            folder.finish()?;
        }
        let sunk = self.tar.finish()?;
        Ok(Written {
            toc: Toc::new(self.entries),
            diff_id: sunk.diff_id,
            blob: sunk.blob,
            uncompressed_size: sunk.size,
        })
    }
}
