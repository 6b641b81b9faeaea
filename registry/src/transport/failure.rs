//! From what went wrong on the wire to an error that says so. No URL gets into an error: it may hold a signature.
use std::error::Error as StdError;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::Call;
use super::wire::Answer;
use crate::error::Error;

/// More of an error's body is not read.
const MAX_BODY: usize = 64 << 10;
/// More of it is not shown.
const MAX_SHOWN: usize = 500;
/// What Go's HTTP server answers to plain HTTP on its TLS port; others say nearly the same.
const WANTS_HTTPS: &[&str] =
    &["HTTP request to an HTTPS server", "plain HTTP request was sent to HTTPS port"];

/// The error for an answer that is not success. Where a registry redirected to has no say: a storage's words may hold
/// the signed address, and whoever the registry names could show the user any.
pub(super) async fn from_response(call: &Call<'_>, had_credentials: bool, answer: Answer) -> Error {
    let Answer { response, own, .. } = answer;
    let status = response.status();
    let retry_after = super::retry::retry_after(response.headers());
    let is_html = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.to_str().is_ok_and(|value| value.starts_with("text/html")));
    let body = if own { body(response).await } else { String::new() };
    let (action, host) = (call.action.to_owned(), call.endpoint.host.clone());
    if status == StatusCode::BAD_REQUEST && WANTS_HTTPS.iter().any(|words| body.contains(words)) {
        return Error::ServerSpeaksHttps { action, host };
    }
    let message = message(&body, is_html);
    match status {
        StatusCode::UNAUTHORIZED => Error::Unauthorized { action, host, had_credentials, message },
        StatusCode::FORBIDDEN => Error::Denied { action, host, had_credentials, message },
        StatusCode::NOT_FOUND => Error::NotFound { action, message },
        StatusCode::TOO_MANY_REQUESTS => Error::RateLimited { action, host, retry_after, message },
        status => Error::Status { action, host, status: status.as_u16(), message },
    }
}

/// The error for a request that got no answer, or no whole one.
pub(super) fn from_reqwest(action: &str, host: &str, error: reqwest::Error) -> Error {
    let (action, host, source) = (action.to_owned(), host.to_owned(), error.without_url());
    if let Some(problem) = find_rustls(&source) {
        let not_tls =
            matches!(problem, rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType));
        return if not_tls {
            Error::ServerSpeaksHttp { action, host }
        } else {
            Error::Tls { action, host, source }
        };
    }
    if !source.is_connect() {
        return Error::Broken { action, host, source: Some(source) };
    }
    let is_dns = chain(&source).any(|cause| cause.to_string().starts_with("dns error"));
    if is_dns { Error::Dns { action, host, source } } else { Error::Connect { action, host, source } }
}

/// The error and its causes.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// TLS errors travel inside I/O errors, which leave themselves out of the chain.
fn find_rustls<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    chain(error).find_map(|cause| {
        cause.downcast_ref::<rustls::Error>().or_else(|| {
            let inner = cause.downcast_ref::<std::io::Error>()?.get_ref()?;
            inner.downcast_ref::<rustls::Error>().or_else(|| find_rustls(inner))
        })
    })
}

/// The beginning of a body, whatever comes of it.
async fn body(mut response: Response) -> String {
    let mut bytes = Vec::new();
    let read = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            bytes.extend_from_slice(&chunk[..chunk.len().min(MAX_BODY - bytes.len())]);
            if bytes.len() >= MAX_BODY {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(5), read).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads a whole body of at most `limit` bytes.
pub(crate) async fn read_bounded(
    wire: &super::Wire,
    action: &str,
    host: &str,
    response: &mut Response,
    limit: u64,
) -> Result<Vec<u8>, Error> {
    let too_large = || Error::TooLarge { action: action.into(), limit };
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = wire.chunk(action, host, response).await? {
        if bytes.len() as u64 + chunk.len() as u64 > limit {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The registry's own words: from its error list, a token server's fields, or the plain text.
pub(crate) fn message(body: &str, is_html: bool) -> String {
    #[derive(Deserialize)]
    #[serde(default)]
    #[derive(Default)]
    struct Item {
        code: Value,
        message: Value,
    }
    let Ok(value) = serde_json::from_str::<Value>(body) else {
        return if is_html { String::new() } else { printable(body) };
    };
    let items: Vec<Item> =
        value.get("errors").and_then(|errors| Vec::deserialize(errors).ok()).unwrap_or_default();
    let words: Vec<String> = items
        .iter()
        .take(3)
        .map(|item| {
            let code = item.code.as_str().unwrap_or_default().to_lowercase();
            let message = item.message.as_str().unwrap_or_default();
            [code.as_str(), message]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join(": ")
        })
        .filter(|words| !words.is_empty())
        .collect();
    if !words.is_empty() {
        return printable(&words.join("; "));
    }
    let field = |name| value.get(name).and_then(Value::as_str);
    let text = ["error_description", "details", "message", "detail", "error"].into_iter().find_map(field);
    printable(text.unwrap_or_default())
}

/// One line without control characters, of bearable length.
pub(crate) fn printable(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    let line = words.join(" ");
    match line.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_words_from_any_form() {
        for (body, words) in [
            (
                r#"{"errors":[{"code":"DENIED","message":"requested access is denied","detail":null}]}"#,
                "denied: requested access is denied",
            ),
            (r#"{"errors":[{"code":"A","message":"b"},{"code":"C"}]}"#, "a: b; c"),
            (r#"{"errors":"x"}"#, ""),
            (r#"{"details":"incorrect username or password"}"#, "incorrect username or password"),
            (r#"{"error":"invalid_grant","error_description":"expired"}"#, "expired"),
            ("no such\n\x1b[31mthing\n", "no such [31mthing"),
            ("", ""),
        ] {
            assert_eq!(message(body, false), words);
        }
        assert_eq!(message("<html>", true), "");
        assert_eq!(message(&"é".repeat(1000), false).chars().count(), MAX_SHOWN + 1);
    }
}
