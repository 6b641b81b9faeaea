//! Objects that are sent in pieces.
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use reqwest::Method;
use reqwest::header::ETAG;

use super::send::Ask;
use super::{Bucket, MAX_PAGE, PIECE, xml};
use crate::error::Error;
use crate::push::BlobSource;
use crate::ranged::read_part;
use crate::transport::Direction;

/// An object has at most ten thousand pieces.
const MAX_PIECES: u64 = 9000;

impl Bucket {
    /// Sends an object in pieces, several at once. What is begun and fails is given up, so that nobody pays for it.
    pub(super) async fn put_in_pieces(
        &self,
        key: &str,
        size: u64,
        source: &dyn BlobSource,
        action: &str,
    ) -> Result<(), Error> {
        let begin = Ask { query: &[("uploads", "")], ..Ask::new(Method::POST, key, action) };
        let answer = self.send(&begin, MAX_PAGE).await?;
        let id = xml::text(&String::from_utf8_lossy(&answer.body), "UploadId");
        let id = id.filter(|id| !id.is_empty()).ok_or_else(|| Error::Protocol {
            action: action.into(),
            problem: "the answer has no `UploadId`".into(),
        })?;
        let sent = self.send_pieces(key, &id, size, source, action).await;
        if sent.is_err() {
            let end = Ask { query: &[("uploadId", &id)], ..Ask::new(Method::DELETE, key, action) };
            if let Err(error) = self.send(&end, 0).await {
                tracing::info!(%error, "an upload in pieces can't be given up");
            }
        }
        sent
    }

    async fn send_pieces(
        &self,
        key: &str,
        id: &str,
        size: u64,
        source: &dyn BlobSource,
        action: &str,
    ) -> Result<(), Error> {
        let piece = PIECE.max(size.div_ceil(MAX_PIECES));
        let sends: Vec<_> = (0..size.div_ceil(piece))
            .map(async |index| {
                let offset = index * piece;
                self.send_piece(key, id, index + 1, source, (offset, piece.min(size - offset)), action).await
            })
            .collect();
        let parallelism = self.inner.settings.parallelism.max(1);
        let tags: Vec<String> = stream::iter(sends).buffered(parallelism).try_collect().await?;
        let parts = tags.iter().zip(1..).fold(String::new(), |parts, (tag, number)| {
            let tag = xml::escape(tag);
            format!("{parts}<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>")
        });
        let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let query = [("uploadId", id)];
        let done = Ask { query: &query, body: Some(body.into()), ..Ask::new(Method::POST, key, action) };
        let answer = self.send(&done, MAX_PAGE).await?;
        // Failing may take long: the status is sent before it is known.
        xml::check(&answer.body, action, &self.address(action)?.host)
    }

    async fn send_piece(
        &self,
        key: &str,
        id: &str,
        number: u64,
        source: &dyn BlobSource,
        (offset, length): (u64, u64),
        action: &str,
    ) -> Result<String, Error> {
        let _slot = self.transport().slot(&self.address(action)?.host, Direction::Up).await;
        let bytes = read_part(source, action, offset, length).await?;
        let number = number.to_string();
        let query = [("partNumber", number.as_str()), ("uploadId", id)];
        let ask = Ask { query: &query, body: Some(bytes), ..Ask::new(Method::PUT, key, action) };
        let answer = self.send(&ask, 0).await?;
        let tag = answer.headers.get(ETAG).and_then(|tag| tag.to_str().ok());
        tag.map(str::to_owned).ok_or_else(|| Error::Protocol {
            action: action.into(),
            problem: "the answer to a piece has no `ETag`".into(),
        })
    }
}
