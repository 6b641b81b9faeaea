//! A file on its way to the disk, digested while it passes.

use std::io::Write;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use garboard_layer::ContentDigest;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// Writes what comes to a file; writes go to the page cache and don't block for long.
#[derive(Debug)]
pub(super) struct Download {
    file: std::fs::File,
    content: blake3::Hasher,
    sha256: Sha256,
    wanted: Wanted,
}

/// The sum of another algorithm that a checksum asks for.
#[derive(Debug)]
enum Wanted {
    Nothing,
    Sha384(Sha384),
    Sha512(Box<Sha512>),
}

/// What a file turned out to be.
#[derive(Debug)]
pub(super) struct Sums {
    pub(super) content: ContentDigest,
    pub(super) sha256: String,
    /// The digest of the algorithm that the checksum has.
    pub(super) wanted: String,
    /// The file, open and as it was written.
    pub(super) file: std::fs::File,
}

impl Download {
    /// Begins a file; one that is there is written anew. `checksum` only says which algorithm is wanted.
    pub(super) fn create(path: &Path, checksum: Option<&str>) -> std::io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        let wanted = match checksum.and_then(|text| text.split(':').next()) {
            Some("sha384") => Wanted::Sha384(Sha384::new()),
            Some("sha512") => Wanted::Sha512(Box::new(Sha512::new())),
            _ => Wanted::Nothing,
        };
        Ok(Self { file, content: blake3::Hasher::new(), sha256: Sha256::new(), wanted })
    }

    /// The sums of all that was written.
    pub(super) fn finish(self) -> Sums {
        let sha256 = text("sha256", &self.sha256.finalize());
        let wanted = match self.wanted {
            Wanted::Nothing => sha256.clone(),
            Wanted::Sha384(sum) => text("sha384", &sum.finalize()),
            Wanted::Sha512(sum) => text("sha512", &sum.finalize()),
        };
        let content = ContentDigest(*self.content.finalize().as_bytes());
        Sums { content, sha256, wanted, file: self.file }
    }
}

fn text(algorithm: &str, sum: &[u8]) -> String {
    use std::fmt::Write as _;
    sum.iter().fold(format!("{algorithm}:"), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl tokio::io::AsyncWrite for Download {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let this = &mut *self;
        let written = this.file.write(bytes);
        if let Ok(count) = written {
            let bytes = &bytes[..count];
            this.content.update(bytes);
            this.sha256.update(bytes);
            match &mut this.wanted {
                Wanted::Nothing => {}
                Wanted::Sha384(sum) => sum.update(bytes),
                Wanted::Sha512(sum) => sum.update(bytes),
            }
        }
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(self.file.flush())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.poll_flush(cx)
    }
}
