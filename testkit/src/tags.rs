//! The list of tags.
use crate::http::{Request, Response};
use crate::state::State;

impl State {
    /// The tags of a repository in order, from `last` on and `n` at most.
    pub(crate) fn tags(&self, request: &Request, repository: &str) -> Response {
        let mut tags: Vec<&String> = self
            .manifests
            .keys()
            .filter(|(own, name)| own == repository && !name.contains(':'))
            .map(|(_, tag)| tag)
            .collect();
        if tags.is_empty() {
            return Response::error(404, "NAME_UNKNOWN");
        }
        tags.sort();
        let last = request.query.get("last").map_or("", String::as_str);
        let count = request.query.get("n").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
        let count = count.min(self.tags_at_once);
        let left: Vec<&&String> = tags.iter().filter(|tag| tag.as_str() > last).collect();
        let page: Vec<String> = left.iter().take(count).map(|tag| format!("\"{tag}\"")).collect();
        let body = format!(r#"{{"name":"{repository}","tags":[{}]}}"#, page.join(","));
        let answer = Response::new(200).header("Content-Type", "application/json").body(body);
        match left.get(count.wrapping_sub(1)) {
            Some(end) if left.len() > count => answer
                .header("Link", format!("</v2/{repository}/tags/list?last={end}&n={count}>; rel=\"next\"")),
            _ => answer,
        }
    }
}
