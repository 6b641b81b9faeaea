//! Addresses of a bucket's objects, encoded as they are signed.
use std::net::IpAddr;

use url::Url;

use super::S3Settings;

/// Where a bucket is.
pub(super) struct Address {
    /// `https://host:port`.
    origin: String,
    /// What comes before an object's key in the path, without slashes around it.
    before: String,
    /// The host with its port, where it has another than usual: as the `Host` header has it.
    pub(super) host: String,
}

impl Address {
    /// The bucket's.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub(super) fn of(settings: &S3Settings) -> Result<Self, String> {
        let bucket = &settings.bucket;
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if bucket.is_empty() || !bucket.chars().all(fits) {
            return Err(format!("`{bucket}` is no name of a bucket"));
        }
        if !settings.region.chars().all(fits) {
            return Err(format!("`{}` is no region", settings.region));
        }
        let endpoint = settings.endpoint.clone().unwrap_or_else(|| amazon(&settings.region));
        let url = Url::parse(&endpoint).map_err(|error| format!("the endpoint is no address: {error}"))?;
        let host = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https"));
        let host = host.ok_or("the endpoint is no address of HTTP")?;
        if !url.username().is_empty() || url.query().is_some() {
            return Err("the endpoint has a login or a query".into());
        }
        let numeric = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() || host == "localhost";
        // No certificate is good for two names before the host's.
        let in_path = settings.path_style || numeric || bucket.contains('.');
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let host = if in_path { format!("{host}{port}") } else { format!("{bucket}.{host}{port}") };
        let base = url.path().trim_matches('/').to_owned();
        let parts = [base.as_str(), if in_path { bucket } else { "" }];
        let before = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
        Ok(Self { origin: format!("{}://{host}", url.scheme()), before, host })
    }

    /// The address of an object with a query that is encoded.
    pub(super) fn url(&self, key: &str, query: &str) -> Result<Url, url::ParseError> {
        let separator = if query.is_empty() { "" } else { "?" };
        Url::parse(&format!("{}{}{separator}{query}", self.origin, self.path(key)))
    }

    /// The path of an object, or of the bucket for an empty key.
    pub(super) fn path(&self, key: &str) -> String {
        format!("/{}", path(&[&self.before, key]))
    }
}

fn amazon(region: &str) -> String {
    let end = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://s3.{region}.{end}")
}

/// Joins parts of a path, encoded. Empty ones are left out.
pub(super) fn path(parts: &[&str]) -> String {
    let parts = parts.iter().filter(|part| !part.is_empty());
    parts.map(|part| encode(part, true)).collect::<Vec<_>>().join("/")
}

/// A query, encoded and sorted.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let mut list: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name, false), encode(value, false)))
        .collect();
    list.sort_unstable();
    list.join("&")
}

/// Encodes all but letters, digits and `-._~`, as signatures want it.
fn encode(text: &str, keep_slash: bool) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            b'/' if keep_slash => encoded.push('/'),
            _ => {
                let _ = write!(encoded, "%{byte:02X}"); // writing to a String can't fail
            }
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn settings(bucket: &str, endpoint: Option<&str>, path_style: bool) -> S3Settings {
        S3Settings {
            bucket: bucket.into(),
            region: "eu-west-1".into(),
            endpoint: endpoint.map(Into::into),
            path_style,
            keys: None,
            parallelism: 4,
            touch_after: Duration::ZERO,
        }
    }

    #[test]
    fn addresses() {
        for (bucket, endpoint, path_style, url) in [
            ("b", None, false, "https://b.s3.eu-west-1.amazonaws.com/a%3Ab/c%20d"),
            ("b", None, true, "https://s3.eu-west-1.amazonaws.com/b/a%3Ab/c%20d"),
            ("b.c", None, false, "https://s3.eu-west-1.amazonaws.com/b.c/a%3Ab/c%20d"),
            ("b", Some("http://127.0.0.1:9000"), false, "http://127.0.0.1:9000/b/a%3Ab/c%20d"),
            ("b", Some("http://[::1]:9000/"), false, "http://[::1]:9000/b/a%3Ab/c%20d"),
            ("b", Some("https://minio.example"), false, "https://b.minio.example/a%3Ab/c%20d"),
            ("b", Some("https://h.example/base/"), true, "https://h.example/base/b/a%3Ab/c%20d"),
        ] {
            let address = Address::of(&settings(bucket, endpoint, path_style)).unwrap();
            let found = address.url("a:b/c d", "").unwrap();
            assert_eq!(found.as_str(), url);
            assert_eq!(found.path(), address.path("a:b/c d"), "as it is signed");
        }
        for (bucket, endpoint) in
            [("", None), ("a/b", None), ("b", Some("ftp://x")), ("b", Some("x")), ("b", Some("http://u:p@h"))]
        {
            assert!(Address::of(&settings(bucket, endpoint, false)).is_err(), "{bucket} {endpoint:?}");
        }
    }

    #[test]
    fn queries_are_sorted_and_encoded() {
        assert_eq!(
            query(&[("prefix", "a/b c"), ("list-type", "2"), ("uploads", "")]),
            "list-type=2&prefix=a%2Fb%20c&uploads="
        );
    }
}
