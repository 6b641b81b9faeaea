//! Layers that registries need not have: their descriptors name other places to get them from.
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

use crate::client::Client;
use crate::error::Error;
use crate::file::{Fetched, FileRequest};
use crate::pull::Progress;
use crate::types::Descriptor;
use crate::verify::Hasher;

/// Not more of the places are asked.
const MOST_PLACES: usize = 4;

impl Client {
    /// Pulls a layer from the first place that has it. These are never sent credentials.
    pub(crate) async fn pull_elsewhere<S: AsyncWrite + Send + Unpin>(
        &self,
        descriptor: &Descriptor,
        new_sink: &mut (impl FnMut() -> io::Result<S> + Send),
        progress: Progress<'_>,
    ) -> Option<S> {
        for url in descriptor.urls.iter().take(MOST_PLACES) {
            match self.pull_from(url, descriptor, new_sink, progress).await {
                Ok(sink) => return Some(sink),
                Err(error) => tracing::debug!(blob = %descriptor.digest, %error, "not to be had there"),
            }
        }
        None
    }

    async fn pull_from<S: AsyncWrite + Send + Unpin>(
        &self,
        url: &str,
        descriptor: &Descriptor,
        new_sink: &mut (impl FnMut() -> io::Result<S> + Send),
        progress: Progress<'_>,
    ) -> Result<S, Error> {
        let hasher = Hasher::like(&descriptor.digest)?;
        let new_sink = || Ok(Verified { inner: new_sink()?, hasher: hasher.clone() });
        let request =
            FileRequest { url: url.to_owned(), authorization: None, known: None, limit: descriptor.size };
        let fetched = self.fetch_file(&request, new_sink, &|done, _| progress(done)).await?;
        let action = format!("pull `{}`", descriptor.digest);
        let Fetched::File { sink, .. } = fetched else {
            return Err(Error::Protocol { action, problem: "nobody said that it is known".into() });
        };
        let actual = sink.hasher.finish();
        if actual != descriptor.digest {
            return Err(Error::DigestMismatch { action, expected: descriptor.digest.clone(), actual });
        }
        Ok(sink.inner)
    }
}

/// Sums the bytes that go through it.
struct Verified<S> {
    inner: S,
    hasher: Hasher,
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Verified<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, data);
        if let Poll::Ready(Ok(written)) = &written {
            self.hasher.update(&data[..*written]);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
