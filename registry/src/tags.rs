//! The tags of a repository.
use reqwest::Method;
use reqwest::header::{HeaderMap, LINK};

use crate::auth::Scopes;
use crate::client::Client;
use crate::endpoint_url::url;
use crate::error::Error;
use crate::pull::text;
use crate::reference::Reference;
use crate::transport::{Call, Payload};

/// Tags asked for at once.
const PAGE: usize = 1000;
/// Bytes of a page.
const MAX_BYTES: u64 = 4 << 20;

/// A page of the answer.
#[derive(serde::Deserialize)]
struct Tags {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

/// Names in order, maybe not to the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The names.
    pub names: Vec<String>,
    /// Whether there may be more after them.
    pub more: bool,
    /// Whether they begin with the first there is, wherever they should: some registries can't do otherwise.
    pub from_first: bool,
}

impl Client {
    /// The tags in the repository of `reference` that begin with `prefix` and come after `after`, on so many of the registry's
    /// pages at most; none if there is no such repository.
    /// Registries that don't list tags in order, or from one on, give earlier ones, too.
    ///
    /// # Errors
    /// What the registry answers, or why it doesn't.
    pub async fn tags_after(
        &self,
        reference: &Reference,
        prefix: &str,
        after: &str,
        pages: usize,
    ) -> Result<Listing, Error> {
        let action = format!("list the tags of `{}`", reference.name());
        let endpoint = self.inner.config.hosts.upstream(reference.domain());
        let mut address = url(&endpoint, reference.repository(), "tags/list")?;
        address.query_pairs_mut().append_pair("n", &PAGE.to_string());
        if !after.is_empty() {
            address.query_pairs_mut().append_pair("last", after);
        }
        let mut found = Listing::default();
        let mut left = pages;
        // The last tag so far, while all came in order.
        let mut last = Some(String::new());
        while left > 0 {
            left -= 1;
            let call = Call {
                url: address.clone(),
                endpoint: &endpoint,
                repository: reference.repository().into(),
                scopes: Scopes::pull(reference.repository()),
                method: Method::GET,
                headers: HeaderMap::new(),
                payload: Payload::None,
                action: &action,
                attempts: self.inner.config.retry.attempts,
            };
            let (response, bytes) = match self.inner.transport.read(&call, MAX_BYTES).await {
                Ok(answer) => answer,
                Err(Error::NotFound { .. }) => return Ok(found),
                // Some take nothing as the last tag that is none.
                Err(Error::Status { status: 400..=499, .. })
                    if address.query().is_some() && left + 1 == pages =>
                {
                    address.set_query(None);
                    found.from_first = true;
                    left += 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let page: Tags = serde_json::from_slice(&bytes).map_err(|_| Error::Protocol {
                action: action.clone(),
                problem: "the answer is no list of tags".into(),
            })?;
            let tags = page.tags.unwrap_or_default();
            found.from_first |= tags.iter().any(|tag| tag.as_str() <= after);
            let is_next = |last: &String| tags.first().is_none_or(|first| first > last) && tags.is_sorted();
            last = last.filter(is_next).and_then(|_| tags.last().cloned());
            let is_past = last.as_deref().is_some_and(|last| last > prefix && !last.starts_with(prefix));
            let is_full = tags.len() == PAGE;
            found.names.extend(tags.into_iter().filter(|tag| tag.starts_with(prefix)));
            if is_past {
                return Ok(found);
            }
            match text(&response, &LINK).and_then(next_page).and_then(|next| address.join(next).ok()) {
                // Of this very registry, as the request carries its authorization: one behind a proxy that ends TLS may
                // call itself otherwise.
                Some(next) => {
                    address.set_path(next.path());
                    address.set_query(next.query());
                }
                // The link is not for all registries, that a page isn't longer than it should be is.
                None => match &last {
                    Some(last) if is_full => {
                        address
                            .query_pairs_mut()
                            .clear()
                            .append_pair("n", &PAGE.to_string())
                            .append_pair("last", last);
                    }
                    _ => return Ok(found),
                },
            }
        }
        Ok(Listing { more: true, ..found })
    }
}

/// What `<address>; rel="next"` names.
fn next_page(link: &str) -> Option<&str> {
    let (address, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
    rest.contains("next").then_some(address)
}

#[cfg(test)]
mod tests {
    #[test]
    fn links_to_the_next_page_are_understood() {
        let rows = [
            (r#"</v2/a/tags/list?last=x&n=5>; rel="next""#, Some("/v2/a/tags/list?last=x&n=5")),
            (r#"<https://h/v2/>; rel="prev""#, None),
            ("nonsense", None),
        ];
        for (link, expected) in rows {
            assert_eq!(super::next_page(link), expected, "{link}");
        }
    }
}
