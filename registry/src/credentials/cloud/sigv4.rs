//! Amazon's signature version 4.
use ring::hmac;
use sha2::{Digest as _, Sha256};

/// Keys to sign with.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) access: String,
    pub(crate) secret: String,
    pub(crate) session: Option<String>,
}

/// What is signed.
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a str,
    /// Encoded as it is sent.
    pub(crate) path: &'a str,
    /// Encoded as it is sent, sorted.
    pub(crate) query: &'a str,
    /// Names in lower case.
    pub(crate) headers: &'a [(&'a str, &'a str)],
    /// SHA-256 of the body in hex, or what stands for it.
    pub(crate) body: &'a str,
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    /// `20150830T123600Z`; also among the headers.
    pub(crate) time: &'a str,
}

impl Signed<'_> {
    /// The `Authorization` for it.
    pub(crate) fn authorization(&self, keys: &Keys) -> String {
        let mut headers = self.headers.to_vec();
        headers.sort_unstable();
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let lines: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        let lines = lines.concat();
        let Self { method, path, query, body, .. } = self;
        let request = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{body}");
        let day = self.time.split('T').next().unwrap_or_default();
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let text =
            format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", self.time, hex(&Sha256::digest(request.as_bytes())));
        let mut key = format!("AWS4{}", keys.secret).into_bytes();
        for part in [day, self.region, self.service, "aws4_request"] {
            key = mac(&key, part.as_bytes());
        }
        let signature = hex(&mac(&key, text.as_bytes()));
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            keys.access
        )
    }
}

fn mac(key: &[u8], data: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data).as_ref().to_vec()
}

/// SHA-256 of a body in hex.
pub(crate) fn sum(body: &[u8]) -> String {
    hex(&Sha256::digest(body))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String can't fail
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Amazon's published test suite: `get-vanilla`.
    #[test]
    fn signs_as_amazon_does() {
        let keys = Keys {
            access: "AKIDEXAMPLE".into(),
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            session: None,
        };
        let signed = Signed {
            method: "GET",
            path: "/",
            query: "",
            headers: &[("x-amz-date", "20150830T123600Z"), ("host", "example.amazonaws.com")],
            body: &sum(b""),
            region: "us-east-1",
            service: "service",
            time: "20150830T123600Z",
        };
        assert_eq!(
            signed.authorization(&keys),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
    }
}
