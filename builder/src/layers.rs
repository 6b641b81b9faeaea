//! Layers in the form that is asked for: table of contents, folder, or compressed blob.
//!
//! Each form is made once, when somebody asks: a base image's layer is fetched when a step reads its files, a RUN's folder
//! is compressed when an export wants its blob. Locks of the store make sure that two builds don't do the same work.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use garboard_cache::remote::Backend;
use garboard_cache::{BlobWriter, LayerBlob, LayerId, LayerInfo, Place, Store, Vouchers};
use garboard_layer::{
    BlobTarget, Content, Devices, DiffOptions, Encoder, EntryKind, Form, Ids, LayerError, Limits, Planned,
    ReadAhead, Targets, Toc, TreeView, UnpackOptions, Written,
};
use garboard_registry::{Client, Descriptor, Reference};
use oci_spec::image::Digest;

use crate::error::{Attempt, Error, Failure, Result};
use crate::growing_blob::GrowingBlob;
use crate::layer_folder::LayerFolder;
use crate::lost::Lost;
use crate::remote_cache::RemoteCaches;
use crate::request::Compression;
use crate::tree::{Tree, TreeLayer};

/// Annotation, never exported, that names the encoder and level of a blob that was made here.
const ENCODER: &str = "garboard.encoder";

/// How long to sleep at most between two tries to take a lock.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// How a layer is to be compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BlobFormat {
    pub(crate) compression: Compression,
    pub(crate) level: Option<i32>,
    /// Bring base layers to it too.
    pub(crate) force: bool,
}

/// Makes forms of layers.
#[derive(Clone)]
pub(crate) struct Layers {
    pub(crate) store: Store,
    pub(crate) client: Client,
    pub(crate) encoder: Arc<Encoder>,
    pub(crate) ids: Ids,
    /// Threads for reading folders.
    pub(crate) threads: usize,
    /// Repositories that new blobs are sent to while they are made.
    pub(crate) push: Arc<[Reference]>,
    /// Caches that may know what is in a layer.
    pub(crate) remote: RemoteCaches,
    /// Layers that turn out not to be there.
    pub(crate) lost: Lost,
}

/// Runs blocking work on the pool for it.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => Err(Error::Internal(e.to_string()).into()),
    }
}

impl Layers {
    /// What is known of a layer that a result refers to.
    pub(crate) fn info(&self, id: &LayerId) -> Result<LayerInfo> {
        let info = self.store.layer(id).attempt(|| format!("failed to look up layer {id}"))?;
        info.ok_or_else(|| Error::Internal(format!("layer {id} vanished from the store")).into())
    }

    /// How changes are looked for.
    pub(crate) fn diff_options(&self) -> DiffOptions {
        DiffOptions { ids: self.ids, threads: self.threads }
    }

    /// The tree as its tables of contents tell it.
    pub(crate) async fn view(&self, tree: &Tree) -> Result<TreeView> {
        let mut tocs: Vec<Arc<Toc>> = Vec::with_capacity(tree.layers.len());
        self.fetch_tocs(tree).await?;
        let _fetching = self.fetch_ahead(tree, |layers, id| Ok(layers.store.toc(id)?.is_some()));
        for layer in &tree.layers {
            let toc = self.store.toc(&layer.id).attempt(|| format!("failed to read layer {}", layer.id))?;
            let toc = match toc {
                Some(toc) if self.believes_toc(layer)? => toc,
                _ => self.unpack(&layer.id, &TreeView::new(tocs.clone())).await?,
            };
            tocs.push(toc);
        }
        Ok(TreeView::new(tocs))
    }

    /// Whether a layer's table of contents is known, or claimed by a cache that this build believes.
    fn believes_toc(&self, layer: &TreeLayer) -> Result<bool> {
        if !layer.may_be_claimed() {
            return Ok(true);
        }
        let claimed =
            self.store.claimed_by(&layer.id).attempt(|| format!("failed to read layer {}", layer.id))?;
        Ok(claimed.is_none_or(|name| self.remote.believes(&Vouchers::one(name))))
    }

    /// Fetches the tables of contents that remote caches have, so that their layers need not be.
    async fn fetch_tocs(&self, tree: &Tree) -> Result<()> {
        if self.remote.is_empty() {
            return Ok(());
        }
        let fetches = tree.layers.iter().map(async |layer| {
            let what = || format!("failed to read layer {}", layer.id);
            if self.store.toc(&layer.id).attempt(what)?.is_none() || !self.believes_toc(layer)? {
                self.remote.toc(&self.info(&layer.id)?).await;
            }
            Ok(())
        });
        futures_util::future::try_join_all(fetches).await.map(drop)
    }

    /// The folders of a tree's layers, the lowest first; layers without entries are left out.
    pub(crate) async fn folders(&self, tree: &Tree) -> Result<Vec<LayerFolder>> {
        let mut tocs: Vec<Arc<Toc>> = Vec::with_capacity(tree.layers.len());
        let mut folders = Vec::with_capacity(tree.layers.len());
        let _fetching = self.fetch_ahead(tree, |layers, id| {
            Ok(layers.store.layer(id)?.is_none_or(|info| info.folder.is_some()))
        });
        for layer in &tree.layers {
            if self.info(&layer.id)?.folder.is_none() {
                self.unpack(&layer.id, &TreeView::new(tocs.clone())).await?;
            }
            let toc = self.store.toc(&layer.id).attempt(|| format!("failed to read layer {}", layer.id))?;
            let toc = toc.ok_or_else(|| {
                Failure::from(Error::Internal(format!("layer {} has no contents", layer.id)))
            })?;
            if !toc.entries().is_empty() {
                folders.push(self.folder_of(&layer.id)?);
            }
            tocs.push(toc);
        }
        Ok(folders)
    }

    /// Fetches the layers that have to be unpacked beside each other, while the lowest is unpacked already: each needs
    /// those below it to be unpacked, but not to be fetched. Ends with the value.
    fn fetch_ahead(
        &self,
        tree: &Tree,
        is_there: fn(&Self, &LayerId) -> std::result::Result<bool, garboard_cache::CacheError>,
    ) -> tokio::task::JoinSet<()> {
        let mut tasks = tokio::task::JoinSet::new();
        let absent = tree.layers.iter().filter(|layer| !is_there(self, &layer.id).unwrap_or(true));
        // the first one is fetched by whoever unpacks it
        for layer in absent.skip(1) {
            let (this, id) = (self.clone(), layer.id.clone());
            tasks.spawn(async move {
                // A failure comes up again when the layer is unpacked.
                if let Ok(info) = this.info(&id) {
                    drop(this.fetch(&info).await);
                }
            });
        }
        tasks
    }

    /// The folder of one layer; it must have been made.
    pub(crate) fn folder_of(&self, id: &LayerId) -> Result<LayerFolder> {
        let info = self.info(id)?;
        let top = info.folder.ok_or_else(|| Error::Internal(format!("layer {id} has no folder")))?;
        Ok(LayerFolder { top, under: info.folder_under })
    }

    /// Makes folder and table of contents from a blob, fetching it if need be.
    async fn unpack(&self, id: &LayerId, lower: &TreeView) -> Result<Arc<Toc>> {
        let _guard = self.lock(format!("unpack-{id}")).await?;
        let info = self.info(id)?;
        let what = || format!("failed to read layer {id}");
        if let (Some(_), Some(toc), None) =
            (&info.folder, self.store.toc(id).attempt(what)?, self.store.claimed_by(id).attempt(what)?)
        {
            return Ok(toc);
        }
        let blob = self.fetch(&info).await?;
        let (this, id, lower) = (self.clone(), id.clone(), lower.clone());
        blocking(move || this.unpack_blob(&id, &info, &blob, &lower)).await
    }

    fn unpack_blob(
        &self,
        id: &LayerId,
        info: &LayerInfo,
        blob: &LayerBlob,
        lower: &TreeView,
    ) -> Result<Arc<Toc>> {
        let what = || format!("failed to unpack layer {}", blob.digest);
        let file = self.store.open_blob(&blob.digest).attempt(what)?;
        let staging = self.store.staging().attempt(what)?;
        let plain = ReadAhead::new(garboard_layer::decompress(file).attempt(what)?).attempt(what)?;
        let mut reader = HashingReader::new(plain);
        let options = UnpackOptions {
            form: Form::Overlay,
            lower,
            ids: self.ids,
            devices: Devices::Skip,
            limits: Limits::default(),
        };
        let toc = Arc::new(garboard_layer::unpack_layer(&mut reader, staging.fs(), options).attempt(what)?);
        let diff_id = reader.finish();
        match &info.diff_id {
            Some(expected) if *expected != diff_id => {
                let reason = format!("its content has the digest {diff_id}, not {expected}");
                let failure = Error::BadImage { what: format!("layer {}", blob.digest), reason };
                return Err(self.lost.note(info, &self.store, &self.remote, failure.into()));
            }
            Some(_) => {}
            None => self.store.set_diff_id(id, &diff_id).attempt(what)?,
        }
        // What a remote cache said of it has decided things already.
        if self.store.toc(id).attempt(what)?.is_some_and(|t| t.content_digest() != toc.content_digest()) {
            self.store.attach_toc(id, toc).attempt(what)?;
            let reason = "its table of contents in a remote cache is not that of its files".to_owned();
            let failure = Error::BadImage { what: format!("layer {}", blob.digest), reason };
            return Err(self.lost.corrected(info, failure.into()));
        }
        self.store.confirm_claim(id).attempt(what)?;
        // Before it has a folder, which vouches for all of the layer's blobs.
        self.store.set_verified(id, &blob.digest).attempt(what)?;
        self.store.attach_toc(id, toc.clone()).attempt(what)?;
        self.store.attach_folder(id, staging).attempt(what)?;
        Ok(toc)
    }

    /// Makes sure that one of the layer's blobs is in the store.
    pub(crate) async fn fetch(&self, info: &LayerInfo) -> Result<LayerBlob> {
        if let Some(blob) = info.blobs.iter().find(|b| b.present) {
            return Ok(blob.clone());
        }
        let mut last = None;
        for origin in &info.origins {
            let Some(blob) = info.blobs.iter().find(|b| b.digest == origin.digest) else { continue };
            match self.pull(&info.id, &origin.place, blob).await {
                Ok(()) => return Ok(LayerBlob { present: true, ..blob.clone() }),
                Err(e) => last = Some(e),
            }
        }
        let failure = last.unwrap_or_else(|| {
            let text = format!("no form of layer {} is left, and no place to fetch it from", info.id);
            Error::Internal(text).into()
        });
        Err(self.lost.note(info, &self.store, &self.remote, failure))
    }

    /// Fetches a blob of a cache that is no layer. The store gets nothing of it.
    pub(crate) async fn fetch_from(
        &self,
        cache: &Backend,
        blob: &Descriptor,
    ) -> std::result::Result<BlobWriter, garboard_registry::Error> {
        let new_sink = || self.store.blob_writer_unhashed().map(BlockingSink).map_err(std::io::Error::other);
        cache.blob_into(blob, new_sink).await.map(|sink| sink.0)
    }

    /// Fetches a blob of a layer.
    async fn pull(&self, layer: &LayerId, place: &Place, blob: &LayerBlob) -> Result<()> {
        let _guard = self.lock(format!("pull-{}", blob.digest)).await?;
        if self.store.blob_size(&blob.digest).is_some() {
            return Ok(());
        }
        let mut descriptor = Descriptor::new(blob.media_type.clone(), blob.digest.clone(), blob.size);
        descriptor.urls.clone_from(&blob.urls);
        let new_sink = || self.store.blob_writer_unhashed().map(BlockingSink).map_err(std::io::Error::other);
        let (pulled, from) = match place {
            Place::Registry { host, repository } => {
                let reference = repository_reference(host, repository)?;
                let pulling = self.client.pull_blob_into(&reference, &descriptor, new_sink, &|_| {});
                (self.remote.fetch(layer, Box::pin(pulling)).await, place.to_string())
            }
            Place::Cache(_) => {
                let cache = self.remote.reach(place).await;
                let cache = cache.ok_or_else(|| Error::Unreachable { place: place.to_string() })?;
                let fetching = Box::pin(cache.blob_into(&descriptor, new_sink));
                (self.remote.fetch_from(layer, &cache, fetching).await, cache.title())
            }
        };
        let what = || format!("layer {} of {from}", blob.digest);
        let sink = pulled.map_err(|source| Error::Pull { what: what(), source })?;
        let digest = blob.digest.clone();
        blocking(move || sink.0.commit_prehashed(&digest).attempt(|| format!("failed to store {digest}")))
            .await?;
        Ok(())
    }

    /// Repositories of a registry that have a blob of a layer, from where others can be given it.
    pub(crate) fn places(&self, id: &LayerId, digest: &Digest, registry: &str) -> Result<Vec<Reference>> {
        let origins = self.info(id)?.origins.into_iter().filter(|origin| origin.digest == *digest);
        let there = origins.filter_map(|origin| match origin.place {
            Place::Registry { host, repository } if host == registry => Some((host, repository)),
            _ => None,
        });
        there.map(|(host, repository)| repository_reference(&host, &repository)).collect()
    }

    /// Remembers that a repository has a blob of a layer, so that it can be mounted into another or fetched again.
    pub(crate) fn note_place(&self, id: &LayerId, digest: &Digest, place: &Reference) -> Result<()> {
        let origin = garboard_cache::Origin {
            place: Place::registry(place.domain(), place.repository()),
            digest: digest.clone(),
        };
        self.store.attach_origin(id, &origin).attempt(|| "failed to note a pushed layer".into())
    }

    /// Makes sure that this blob of a layer is in the store.
    pub(crate) async fn fetch_blob(&self, id: &LayerId, digest: &Digest) -> Result<()> {
        let mut info = self.info(id)?;
        info.blobs.retain(|b| b.digest == *digest);
        self.fetch(&info).await.map(drop)
    }

    /// The layer's blob in this format.
    pub(crate) async fn blob(&self, id: &LayerId, base: bool, format: BlobFormat) -> Result<LayerBlob> {
        let info = self.info(id)?;
        if let Some(blob) = chosen(&info, base, format)? {
            return Ok(blob);
        }
        let _guard = self.lock(format!("blob-{id}-{:?}", format.compression)).await?;
        let info = self.info(id)?;
        if let Some(blob) = chosen(&info, base, format)? {
            return Ok(blob);
        }
        let source = if info.folder.is_none() { Some(self.fetch(&info).await?) } else { None };
        let this = self.clone();
        blocking(move || match source {
            Some(blob) => this.recompress(&info, &blob, format),
            None => this.compress_folder(&info, format),
        })
        .await
    }

    /// Writes the tar of a layer that is only a folder.
    fn compress_folder(&self, info: &LayerInfo, format: BlobFormat) -> Result<LayerBlob> {
        let what = || format!("failed to compress layer {}", info.id);
        let toc = self.store.toc(&info.id).attempt(what)?;
        let toc =
            toc.ok_or_else(|| Failure::from(Error::Internal(format!("layer {} has no contents", info.id))))?;
        let beneath = self.folder_of(&info.id)?.open().attempt(what)?;
        let planned = toc.entries().iter().map(|entry| {
            let content = match &entry.kind {
                EntryKind::File { size, .. } if *size > 0 => Content::Opener(beneath.file(&entry.path)),
                _ => Content::None,
            };
            Ok(Planned { entry: entry.clone(), content })
        });
        let (written, blob) = self.write_blob(planned, None, format)?;
        if let Some(diff_id) = &written.diff_id {
            self.store.set_diff_id(&info.id, diff_id).attempt(what)?;
        }
        self.store.attach_blob(&info.id, &blob).attempt(what)?;
        Ok(blob)
    }

    /// Writes a layer blob, and the folder form beside it if one is wanted.
    pub(crate) fn write_blob(
        &self,
        planned: impl IntoIterator<Item = std::result::Result<Planned, LayerError>>,
        folder: Option<&std::path::Path>,
        format: BlobFormat,
    ) -> Result<(Written, LayerBlob)> {
        let what = || "failed to write a layer".to_owned();
        let mut sink = GrowingBlob::new(&self.store, &self.client, &self.push).attempt(what)?;
        let compression = layer_compression(format.compression);
        let blob = BlobTarget { sink: &mut sink, compression, level: format.level, encoder: &self.encoder };
        let targets = Targets { blob: Some(blob), folder, diff_id: true, ids: self.ids };
        let written = garboard_layer::write_layer(planned, targets).attempt(what)?;
        let info = written.blob.clone().ok_or_else(|| Error::Internal("a blob was asked for".into()))?;
        let blob = made_here(format, info.digest, info.size)?;
        let descriptor = Descriptor::new(blob.media_type.clone(), blob.digest.clone(), blob.size);
        sink.commit(&descriptor).attempt(what)?;
        Ok((written, blob))
    }

    /// Brings a blob to another compression.
    fn recompress(&self, info: &LayerInfo, from: &LayerBlob, format: BlobFormat) -> Result<LayerBlob> {
        let what = || format!("failed to compress layer {} anew", from.digest);
        let file = self.store.open_blob(&from.digest).attempt(what)?;
        let mut sink = self.store.blob_writer_unhashed().attempt(what)?;
        let mut reader = HashingReader::new(garboard_layer::decompress(file).attempt(what)?);
        let compression = layer_compression(format.compression);
        let made = self.encoder.compress(&mut reader, &mut sink, compression, format.level).attempt(what)?;
        let diff_id = reader.finish();
        if info.diff_id.as_ref().is_some_and(|expected| *expected != diff_id) {
            let reason = format!("its content has the digest {diff_id}");
            return Err(Error::BadImage { what: format!("layer {}", from.digest), reason }.into());
        }
        sink.commit_prehashed(&made.digest).attempt(what)?;
        let blob = made_here(format, made.digest, made.size)?;
        self.store.set_verified(&info.id, &from.digest).attempt(what)?;
        self.store.attach_blob(&info.id, &blob).attempt(what)?;
        Ok(blob)
    }

    /// The digest of a layer's uncompressed tar, known once it has a blob.
    pub(crate) fn diff_id(&self, id: &LayerId) -> Result<Digest> {
        let diff_id = self.info(id)?.diff_id;
        diff_id.ok_or_else(|| Error::Internal(format!("layer {id} has no diff ID")).into())
    }

    /// The same layer with all times after `latest` (seconds since 1970) lowered to it: diff ID and blob.
    pub(crate) async fn clamped(
        &self,
        blob: LayerBlob,
        latest: i64,
        format: BlobFormat,
    ) -> Result<(Digest, LayerBlob)> {
        let this = self.clone();
        blocking(move || {
            let what = || format!("failed to rewrite the times of layer {}", blob.digest);
            let tar = this.store.open_blob(&blob.digest).attempt(what)?;
            let tar = garboard_layer::decompress(tar).attempt(what)?;
            let mut sink = this.store.blob_writer_unhashed().attempt(what)?;
            let compression = layer_compression(format.compression);
            let target =
                BlobTarget { sink: &mut sink, compression, level: format.level, encoder: &this.encoder };
            let made = garboard_layer::clamp_times(tar, latest, target, Limits::default()).attempt(what)?;
            sink.commit_prehashed(&made.blob.digest).attempt(what)?;
            let media_type = media_type(format.compression, false).to_owned();
            let (digest, size) = (made.blob.digest, made.blob.size);
            Ok((
                made.diff_id,
                LayerBlob {
                    media_type,
                    digest,
                    size,
                    annotations: blob.annotations,
                    urls: Vec::new(),
                    present: true,
                },
            ))
        })
        .await
    }

    /// Takes a lock of the store without blocking other tasks.
    pub(crate) async fn lock(&self, name: String) -> Result<garboard_cache::LockGuard> {
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(guard) = self.store.try_lock(&name).attempt(|| format!("failed to lock {name}"))? {
                return Ok(guard);
            }
            // Not a thread that blocks in the kernel: nothing could stop that when the build is canceled.
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// A reference into a repository, for its blobs.
pub(crate) fn repository_reference(host: &str, repository: &str) -> Result<Reference> {
    format!("{host}/{repository}")
        .parse()
        .map_err(|e| Error::Internal(format!("{host}/{repository}: {e}")).into())
}

/// The blob among those that are known that serves.
fn chosen(info: &LayerInfo, base: bool, format: BlobFormat) -> Result<Option<LayerBlob>> {
    let encoder = encoder_id(format)?;
    let fits = |blob: &&LayerBlob| {
        let of_kind = compression_of(&blob.media_type) == Some(format.compression);
        match blob.annotations.get(ENCODER) {
            Some(id) => *id == encoder,
            // Somebody else's: any will do unless a level was asked for.
            None => (base && (!format.force || is_foreign(blob))) || (of_kind && format.level.is_none()),
        }
    };
    let mut usable = info.blobs.iter().filter(fits);
    let first = usable.clone().find(|b| base && !b.annotations.contains_key(ENCODER));
    Ok(first.or_else(|| usable.next()).map(|blob| LayerBlob {
        annotations: blob
            .annotations
            .iter()
            // What a registry says of a base layer is not said of the same content made here.
            .filter(|(k, _)| base && *k != ENCODER)
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
        ..blob.clone()
    }))
}

/// Whether a blob is one that registries need not have: it is named, never made or sent.
fn is_foreign(blob: &LayerBlob) -> bool {
    garboard_registry::media_type::is_foreign_layer(&blob.media_type)
}

fn made_here(format: BlobFormat, digest: Digest, size: u64) -> Result<LayerBlob> {
    Ok(LayerBlob {
        media_type: media_type(format.compression, false).to_owned(),
        digest,
        size,
        annotations: [(ENCODER.to_owned(), encoder_id(format)?)].into(),
        urls: Vec::new(),
        present: true,
    })
}

fn encoder_id(format: BlobFormat) -> Result<String> {
    Encoder::id(layer_compression(format.compression), format.level)
        .map_err(|e| Error::Request(e.to_string()).into())
}

fn layer_compression(compression: Compression) -> garboard_layer::Compression {
    match compression {
        Compression::Uncompressed => garboard_layer::Compression::None,
        Compression::Gzip => garboard_layer::Compression::Gzip,
        Compression::Zstd => garboard_layer::Compression::Zstd,
    }
}

/// The compression that a layer's media type names.
pub(crate) fn compression_of(media_type: &str) -> Option<Compression> {
    if media_type.ends_with("gzip") {
        Some(Compression::Gzip)
    } else if media_type.ends_with("zstd") {
        Some(Compression::Zstd)
    } else if media_type.ends_with("tar") {
        Some(Compression::Uncompressed)
    } else {
        None
    }
}

/// The media type of a layer.
pub(crate) fn media_type(compression: Compression, docker: bool) -> &'static str {
    match (compression, docker) {
        (Compression::Uncompressed, false) => "application/vnd.oci.image.layer.v1.tar",
        (Compression::Gzip, false) => "application/vnd.oci.image.layer.v1.tar+gzip",
        (Compression::Zstd, false) => "application/vnd.oci.image.layer.v1.tar+zstd",
        (Compression::Uncompressed, true) => "application/vnd.docker.image.rootfs.diff.tar",
        (Compression::Gzip, true) => "application/vnd.docker.image.rootfs.diff.tar.gzip",
        (Compression::Zstd, true) => "application/vnd.docker.image.rootfs.diff.tar.zstd",
    }
}

/// The type of a layer in a manifest of Docker's types or OCI's. A layer that registries need not have stays one.
pub(crate) fn type_in(blob: &LayerBlob, docker: bool) -> String {
    let Some(compression) = compression_of(&blob.media_type) else { return blob.media_type.clone() };
    let own = media_type(compression, docker);
    match (is_foreign(blob), docker) {
        (false, _) => own.to_owned(),
        (true, false) => own.replace(".layer.v1.", ".layer.nondistributable.v1."),
        (true, true) => own.replace(".rootfs.diff.", ".rootfs.foreign.diff."),
    }
}

/// Hashes what is read through it.
pub(crate) struct HashingReader<R> {
    inner: R,
    hasher: sha2::Sha256,
}

impl<R: std::io::Read> HashingReader<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, hasher: sha2::Digest::new() }
    }

    /// SHA-256 of all that was read.
    pub(crate) fn finish(self) -> Digest {
        let bytes = sha2::Digest::finalize(self.hasher);
        let mut text = String::from("sha256:");
        for byte in bytes {
            // Writing to a string can't fail.
            let _ = write!(text, "{byte:02x}");
        }
        text.parse().expect("a hex digest of 32 bytes is valid")
    }
}

impl<R: std::io::Read> std::io::Read for HashingReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buf)?;
        sha2::Digest::update(&mut self.hasher, &buf[..n]);
        Ok(n)
    }
}

/// A file of the store as an asynchronous sink: writes go to the page cache and don't block for long.
struct BlockingSink(garboard_cache::BlobWriter);

impl tokio::io::AsyncWrite for BlockingSink {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::task::Poll::Ready(std::io::Write::write(&mut self.0, buf))
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(std::io::Write::flush(&mut self.0))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        self.poll_flush(cx)
    }
}
