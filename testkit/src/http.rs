//! Requests and answers as they are on the wire: as little of HTTP/1.1 as clients need.
use std::collections::HashMap;
use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

/// A request.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `GET`, …
    pub method: String,
    /// The path, as it was sent.
    pub path: String,
    /// What follows the `?`, decoded; of several values of a name the last.
    pub query: HashMap<String, String>,
    /// What follows the `?`, decoded, in order.
    pub pairs: Vec<(String, String)>,
    /// Headers, their names in lower case.
    pub headers: HashMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// Reads all but the body; `None` at the end of the connection.
    pub(crate) async fn read_head(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Self>> {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace();
        let (method, target) =
            (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default());
        // a proxy is sent whole addresses
        let target =
            target.strip_prefix("http://").map_or(target, |rest| &rest[rest.find('/').unwrap_or(0)..]);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pairs: Vec<(String, String)> =
            url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let mut request = Self {
            method,
            path: path.to_owned(),
            query: pairs.iter().cloned().collect(),
            pairs,
            ..Self::default()
        };
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            match line.trim_end().split_once(':') {
                Some((name, value)) => {
                    request.headers.insert(name.to_ascii_lowercase(), value.trim().to_owned())
                }
                None => break,
            };
        }
        Ok(Some(request))
    }

    /// The length of the body, as its header says it.
    pub(crate) fn length(&self) -> usize {
        self.headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0)
    }

    /// Reads the body.
    pub(crate) async fn read_body(&mut self, stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<()> {
        if self.headers.get("transfer-encoding").is_some_and(|encoding| encoding == "chunked") {
            return self.read_chunks(stream).await;
        }
        self.body = vec![0; self.length()];
        stream.read_exact(&mut self.body).await.map(|_| ())
    }

    async fn read_chunks(&mut self, stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<()> {
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            let length = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
            let start = self.body.len();
            self.body.resize(start + length + 2, 0);
            stream.read_exact(&mut self.body[start..]).await?;
            self.body.truncate(start + length);
            if length == 0 {
                return Ok(());
            }
        }
    }

    /// The fields of a form in the body.
    pub fn form(&self) -> HashMap<String, String> {
        url::form_urlencoded::parse(&self.body).into_owned().collect()
    }

    /// `METHOD path?query`, the query decoded and sorted.
    pub fn line(&self) -> String {
        let mut query: Vec<String> = self.query.iter().map(|(k, v)| format!("{k}={v}")).collect();
        query.sort();
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        format!("{} {}{query}", self.method, self.path)
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Headers; `Content-Length` is made from the body unless it is among them.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// One with nothing but a status.
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// A registry's error with a code.
    pub fn error(status: u16, code: &str) -> Self {
        let body = format!(
            r#"{{"errors":[{{"code":"{code}","message":"{}"}}]}}"#,
            code.to_lowercase().replace('_', " ")
        );
        Self::new(status).header("Content-Type", "application/json").body(body)
    }

    /// Everything before the body.
    pub(crate) fn head(&self) -> String {
        let mut lines = vec![format!("HTTP/1.1 {} x", self.status)];
        if self.status != 204 && !self.headers.iter().any(|(name, _)| name == "Content-Length") {
            lines.push(format!("Content-Length: {}", self.body.len()));
        }
        lines.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        lines.join("\r\n") + "\r\n\r\n"
    }
}
