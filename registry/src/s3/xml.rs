//! The little XML there is: flat lists of texts.
use crate::error::Error;
use crate::transport::printable;

/// A page of a list of objects.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) keys: Vec<String>,
    /// What to ask for the next one with.
    pub(super) next: Option<String>,
}

impl Page {
    /// Reads an answer; `None` if it is no list.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let body = std::str::from_utf8(body).ok()?;
        let (_, list) = body.split_once("<ListBucketResult")?;
        let objects = list.split("<Contents>").skip(1);
        let keys = objects.filter_map(|object| text(object.split("</Contents>").next()?, "Key")).collect();
        let more = text(list, "IsTruncated").is_some_and(|more| more == "true");
        Some(Self {
            keys,
            next: text(list, "NextContinuationToken").filter(|token| more && !token.is_empty()),
        })
    }
}

/// The text of the first element of this name.
pub(super) fn text(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once("</")?;
    Some(unescape(text))
}

/// Code and message of an error; empty where there are none.
pub(super) fn error(body: &[u8]) -> (String, String) {
    let body = String::from_utf8_lossy(body);
    let Some((_, error)) = body.split_once("<Error>") else { return Default::default() };
    let get = |name| printable(&text(error, name).unwrap_or_default());
    (get("Code"), get("Message"))
}

/// Fails if the body is an error, although the status wasn't.
pub(super) fn check(body: &[u8], action: &str, host: &str) -> Result<(), Error> {
    let (code, message) = error(body);
    if code.is_empty() {
        return Ok(());
    }
    let message = format!("{code}: {message}");
    Err(Error::Status { action: action.into(), host: host.into(), status: 500, message })
}

/// A text to stand between tags.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let Some((name, tail)) = after.split_once(';').filter(|(name, _)| name.len() <= 8) else {
            plain.push('&');
            rest = after;
            continue;
        };
        match character(name) {
            Some(character) => plain.push(character),
            None => plain.extend(["&", name, ";"]),
        }
        rest = tail;
    }
    plain + rest
}

fn character(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let number = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(number)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let page = "<?xml?><ListBucketResult xmlns=\"x\"><IsTruncated>true</IsTruncated><Contents><Key>a&amp;b</Key>\
            <ETag>&quot;1&quot;</ETag></Contents><Contents><Key>c&#x2F;&#100;</Key></Contents>\
            <NextContinuationToken>t==</NextContinuationToken></ListBucketResult>";
        let keys = vec!["a&b".to_owned(), "c/d".to_owned()];
        assert_eq!(Page::read(page.as_bytes()), Some(Page { keys, next: Some("t==".into()) }));
        let empty = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
        assert_eq!(Page::read(empty.as_bytes()), Some(Page { keys: Vec::new(), next: None }));
        assert_eq!(Page::read(b"<html>"), None);
        assert_eq!(Page::read(b"\xff"), None);
    }

    #[test]
    fn errors() {
        let body = b"<Error><Code>NoSuchKey</Code><Message>it is\n not there</Message><Key>k</Key></Error>";
        assert_eq!(error(body), ("NoSuchKey".into(), "it is not there".into()));
        assert_eq!(error(b""), (String::new(), String::new()));
        assert!(check(body, "a", "h").is_err() && check(b"<Done/>", "a", "h").is_ok());
    }

    proptest::proptest! {
        #[test]
        fn anything_can_be_read(text in ".*", xml in "(<|>|&|;|Key|Contents|/|ListBucketResult|#x41|é){0,40}") {
            proptest::prop_assert_eq!(unescape(&escape(&text)), text);
            let _ = (Page::read(xml.as_bytes()), error(xml.as_bytes()));
            let list = format!("<ListBucketResult>{xml}");
            proptest::prop_assert!(Page::read(list.as_bytes()).is_some());
        }
    }

    #[test]
    fn odd_texts_survive() {
        for text in ["&", "a&b;c", "&;", "&#x110000;", "&toolongname;", "é&amp"] {
            assert_eq!(unescape(&escape(text)), text);
            let _ = unescape(text);
        }
    }
}
