//! The exact texts of `created_by`: other tools show and compare them.

use super::Healthcheck;

/// `RUN |2 A=1 B=2 /bin/sh -c cmd # buildkit`: declared arguments once each, at their first position.
pub(crate) fn run_text(args: &[String], build_args: &[(String, String)]) -> String {
    let mut words = Vec::new();
    if !build_args.is_empty() {
        words.push(format!("|{}", build_args.len()));
        words.extend(build_args.iter().map(|(k, v)| format!("{k}={v}")));
    }
    words.extend(args.iter().cloned());
    format!("RUN {} # buildkit", words.join(" "))
}

/// `ENV a=b c=d`, and the same for LABEL and ARG (a name without value stands alone).
pub(crate) fn env_text<'a>(keyword: &str, pairs: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> String {
    let words: Vec<String> = pairs
        .map(|(k, v)| match v {
            Some(v) => format!("{k}={v}"),
            None => k.to_owned(),
        })
        .collect();
    format!("{keyword} {}", words.join(" "))
}

/// `COPY --parents --chown=x --chmod=y a b <<NAME /dest # buildkit`.
pub(crate) fn copy_text(
    keyword: &str,
    parents: bool,
    chown: Option<&str>,
    chmod: Option<&str>,
    sources: &[String],
    dest: &str,
) -> String {
    let mut words = vec![keyword.to_owned()];
    if parents {
        words.push("--parents".into());
    }
    words.extend(chown.filter(|c| !c.is_empty()).map(|c| format!("--chown={c}")));
    words.extend(chmod.filter(|c| !c.is_empty()).map(|c| format!("--chmod={c}")));
    words.extend(sources.iter().cloned());
    words.push(dest.to_owned());
    format!("{} # buildkit", words.join(" "))
}

/// `HEALTHCHECK {Test:[CMD-SHELL x] Interval:5s … Retries:3}`: Go's `%+v` of its struct.
pub(crate) fn healthcheck_text(check: &Healthcheck) -> String {
    format!(
        "HEALTHCHECK {{Test:[{}] Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
        check.test.join(" "),
        go_duration(check.interval),
        go_duration(check.timeout),
        go_duration(check.start_period),
        go_duration(check.start_interval),
        check.retries
    )
}

/// Go's `%q` of a string slice: `["a" "b"]`.
pub(crate) fn go_quoted_slice(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|w| garboard_parser::quote::go_quote(w)).collect();
    format!("[{}]", quoted.join(" "))
}

/// A duration in nanoseconds as Go prints it: `1h2m3.5s`, `1.5ms`, `0s`.
pub(crate) fn go_duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let n = nanos.unsigned_abs();
    let fraction = |value: u64, unit: u64| {
        let text = format!("{}.{:0width$}", value / unit, value % unit, width = unit.ilog10() as usize);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    let text = match n {
        0 => "0s".to_owned(),
        1..1_000 => format!("{n}ns"),
        1_000..1_000_000 => format!("{}µs", fraction(n, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", fraction(n, 1_000_000)),
        _ => {
            let minutes = n / 60_000_000_000;
            let seconds = fraction(n % 60_000_000_000, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, m) => format!("{m}m{seconds}s"),
                (h, m) => format!("{h}h{m}m{seconds}s"),
            }
        }
    };
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_like_go() {
        for (nanos, text) in [
            (0, "0s"),
            (5_000_000_000, "5s"),
            (60_000_000_000, "1m0s"),
            (90_500_000_000, "1m30.5s"),
            (3_600_000_000_000, "1h0m0s"),
            (1_500_000, "1.5ms"),
            (1_000, "1µs"),
            (-2_000_000_000, "-2s"),
        ] {
            assert_eq!(go_duration(nanos), text);
        }
    }

    #[test]
    fn run_names_declared_arguments() {
        let args = ["/bin/sh".into(), "-c".into(), "x".into()];
        assert_eq!(run_text(&args, &[]), "RUN /bin/sh -c x # buildkit");
        assert_eq!(run_text(&args, &[("A".into(), "1".into())]), "RUN |1 A=1 /bin/sh -c x # buildkit");
    }
}
