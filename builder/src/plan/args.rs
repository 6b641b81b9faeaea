//! Build arguments that nobody declares: platforms, the target stage, proxies.

use std::collections::BTreeMap;

use garboard_registry::Platform;

/// Names that are never part of a step's environment or history unless a Dockerfile declares them.
const PROXIES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

/// Arguments of the engine's own that RUN steps don't see.
pub(crate) const HIDDEN: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// The automatic arguments of the global scope; build arguments of the same name win.
pub(crate) fn automatic(
    build: &Platform,
    target: &Platform,
    stage: &str,
    given: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (prefix, platform) in [("BUILD", build), ("TARGET", target)] {
        let version = platform.os_version.clone().unwrap_or_default();
        all.insert(format!("{prefix}PLATFORM"), platform.to_string());
        all.insert(format!("{prefix}OS"), platform.os.clone());
        all.insert(format!("{prefix}OSVERSION"), version);
        all.insert(format!("{prefix}ARCH"), platform.architecture.clone());
        all.insert(format!("{prefix}VARIANT"), platform.variant.clone().unwrap_or_default());
    }
    all.insert("TARGETSTAGE".into(), stage.to_owned());
    for (name, value) in &mut all {
        if let Some(given) = given.get(name) {
            value.clone_from(given);
        }
    }
    all
}

/// Proxy variables for RUN steps, in both cases, from build arguments that were given. A lower-case argument wins.
pub(crate) fn proxies(given: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for name in PROXIES {
        let lower = name.to_ascii_lowercase();
        let exact = given.get(&lower).or_else(|| given.get(name));
        let value =
            exact.or_else(|| given.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v));
        if let Some(value) = value {
            out.push((name.to_owned(), value.clone()));
            out.push((lower, value.clone()));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_come_in_both_cases() {
        let given =
            [("http_proxy".to_owned(), "a".to_owned()), ("HTTP_PROXY".to_owned(), "b".to_owned())].into();
        let expected = [("HTTP_PROXY".to_owned(), "a".to_owned()), ("http_proxy".to_owned(), "a".to_owned())];
        assert_eq!(proxies(&given), expected);
    }

    #[test]
    fn build_arguments_win_over_automatic_ones() {
        let platform: Platform = "linux/arm64".parse().unwrap();
        let given = [("TARGETARCH".to_owned(), "other".to_owned())].into();
        let args = automatic(&platform, &platform, "default", &given);
        assert_eq!(args["TARGETARCH"], "other");
        assert_eq!(args["TARGETPLATFORM"], "linux/arm64");
    }
}
