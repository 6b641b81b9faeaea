//! Whether bytes move: who waits for a long transfer can tell one that is slow from one that is stuck.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use crate::push::BlobSource;

tokio::task_local! {
    /// What counts the bytes that this task receives.
    static FLOW: Flow;
}

/// Counts bytes that are moved. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Flow {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    moved: AtomicU64,
    has_begun: AtomicBool,
}

impl Flow {
    /// Counts what the work receives from other machines, in its own task.
    pub fn watch<F: Future>(&self, work: F) -> impl Future<Output = F::Output> {
        FLOW.scope(self.clone(), work)
    }

    /// Counts what is read from a source.
    pub fn source<'a>(&self, source: &'a dyn BlobSource) -> impl BlobSource + use<'a> {
        Counted { source, flow: self.clone() }
    }

    /// Bytes so far.
    pub fn moved(&self) -> u64 {
        self.inner.moved.load(Ordering::Relaxed)
    }

    /// Whether a download has had its turn: before that it waits for others.
    pub fn has_begun(&self) -> bool {
        self.inner.has_begun.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) {
        self.inner.moved.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// Counts received bytes for whoever watches this task.
pub(crate) fn count(bytes: usize) {
    // Mostly nobody does.
    let _ = FLOW.try_with(|flow| flow.add(bytes));
}

/// Notes for whoever watches this task that a download has its turn.
pub(crate) fn begin() {
    let _ = FLOW.try_with(|flow| flow.inner.has_begun.store(true, Ordering::Relaxed));
}

struct Counted<'a> {
    source: &'a dyn BlobSource,
    flow: Flow,
}

impl BlobSource for Counted<'_> {
    fn open(&self, offset: u64) -> io::Result<Box<dyn AsyncRead + Send + Unpin>> {
        Ok(Box::new(CountedReader { reader: self.source.open(offset)?, flow: self.flow.clone() }))
    }
}

struct CountedReader {
    reader: Box<dyn AsyncRead + Send + Unpin>,
    flow: Flow,
}

impl AsyncRead for CountedReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.reader).poll_read(context, buffer);
        self.flow.add(buffer.filled().len() - before);
        read
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;
    use crate::push::BytesSource;

    #[tokio::test]
    async fn what_is_read_and_received_is_counted_where_it_is_watched() {
        let flow = Flow::default();
        count(1);
        flow.watch(async {
            assert!(!flow.has_begun());
            begin();
            count(3);
        })
        .await;
        let bytes = BytesSource(vec![0; 10].into());
        let mut read = Vec::new();
        flow.source(&bytes).open(4).unwrap().read_to_end(&mut read).await.unwrap();
        assert_eq!((flow.moved(), flow.has_begun()), (9, true));
    }
}
