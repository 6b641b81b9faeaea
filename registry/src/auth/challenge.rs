//! Reads `WWW-Authenticate`: what a registry wants to be shown.
use nom::branch::alt;
use nom::bytes::complete::{is_not, tag, take_while, take_while1};
use nom::character::complete::{anychar, char};
use nom::combinator::{map, opt, value};
use nom::multi::fold_many0;
use nom::sequence::{delimited, preceded, separated_pair, terminated};
use nom::{IResult, Parser};

/// More challenges, or parameters, than any registry sends.
const MAX_ITEMS: usize = 32;

/// One challenge. Schemes and parameter names are lower-case here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) scheme: String,
    params: Vec<(String, String)>,
}

impl Challenge {
    /// A parameter's value.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// Reads one header's challenges. What can't be read ends the list; what came before counts.
pub(crate) fn parse(header: &str) -> Vec<Challenge> {
    let mut list = Vec::new();
    let mut rest = header;
    while list.len() < MAX_ITEMS {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let Ok((after, challenge)) = challenge(rest) else { break };
        list.push(challenge);
        rest = after;
    }
    list
}

fn challenge(input: &str) -> IResult<&str, Challenge> {
    let (mut rest, scheme) = token(input)?;
    let mut params = Vec::new();
    // a scheme may also be followed by one bare value (`Negotiate YII=`), of no use here
    if let Ok((after, ())) = terminated(preceded(blank1, token68), end_of_item).parse(rest)
        && param(rest.trim_start()).is_err()
    {
        rest = after;
    }
    while params.len() < MAX_ITEMS {
        let start = rest.trim_start_matches([' ', '\t', ',']);
        let Ok((after, param)) = param(start) else { break };
        params.push(param);
        rest = after;
    }
    Ok((rest, Challenge { scheme: scheme.to_ascii_lowercase(), params }))
}

/// `name = value`; the value quoted, or as far as the next comma or blank for servers that forget the quotes.
fn param(input: &str) -> IResult<&str, (String, String)> {
    let bare = map(is_not("\", \t"), str::to_owned);
    let equals = delimited(blank0, char('='), blank0);
    let (rest, (name, value)) = separated_pair(token, equals, alt((quoted, bare))).parse(input)?;
    Ok((rest, (name.to_ascii_lowercase(), value)))
}

fn quoted(input: &str) -> IResult<&str, String> {
    let escaped = preceded(char('\\'), anychar);
    let plain = nom::character::complete::none_of("\"\\");
    let text = fold_many0(alt((escaped, plain)), String::new, |mut text, c| {
        text.push(c);
        text
    });
    // a missing quote at the very end is forgiven
    delimited(char('"'), text, opt(char('"'))).parse(input)
}

fn token(input: &str) -> IResult<&str, &str> {
    take_while1(|c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)).parse(input)
}

fn token68(input: &str) -> IResult<&str, ()> {
    let body = take_while1(|c: char| c.is_ascii_alphanumeric() || "-._~+/".contains(c));
    value((), (body, take_while(|c| c == '='))).parse(input)
}

fn end_of_item(input: &str) -> IResult<&str, ()> {
    let (rest, ()) = value((), blank0).parse(input)?;
    if rest.is_empty() { Ok((rest, ())) } else { value((), tag(",")).parse(rest) }
}

fn blank0(input: &str) -> IResult<&str, &str> {
    take_while(|c| c == ' ' || c == '\t').parse(input)
}

fn blank1(input: &str) -> IResult<&str, &str> {
    take_while1(|c| c == ' ' || c == '\t').parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(header: &str) -> Vec<String> {
        parse(header)
            .into_iter()
            .map(|challenge| {
                let params: Vec<String> = challenge.params.iter().map(|(k, v)| format!("{k}={v}")).collect();
                format!("{} {}", challenge.scheme, params.join(";"))
            })
            .collect()
    }

    #[test]
    fn reads_what_registries_send() {
        for (header, expected) in [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
                vec![
                    "bearer realm=https://auth.docker.io/token;service=registry.docker.io;scope=repository:a/b:pull,push",
                ],
            ),
            (r#"BEARER Realm = "x" , Service="y""#, vec!["bearer realm=x;service=y"]),
            (r#"Basic realm="a \"b\" c""#, vec![r#"basic realm=a "b" c"#]),
            (
                r#"Bearer realm="x",scope="s", Basic realm="y""#,
                vec!["bearer realm=x;scope=s", "basic realm=y"],
            ),
            ("Negotiate YII=, Basic realm=plain", vec!["negotiate ", "basic realm=plain"]),
            ("Basic", vec!["basic "]),
            ("Negotiate, Basic", vec!["negotiate ", "basic "]),
            ("Bearer realm=https://x/token?a,service=y", vec!["bearer realm=https://x/token?a;service=y"]),
            (r#"Bearer realm="cut"#, vec!["bearer realm=cut"]),
            (r#"Bearer realm="x",,service="y","#, vec!["bearer realm=x;service=y"]),
            ("", vec![]),
            ("=", vec![]),
        ] {
            assert_eq!(shown(header), expected, "{header}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(header in "\\PC{0,200}") {
            parse(&header);
        }

        #[test]
        fn never_panics_on_near_misses(header in "([Bb]earer|Basic|a|=|\"|\\\\|,| |realm|x){0,40}") {
            parse(&header);
        }

        #[test]
        fn quoted_values_survive(realm in "[ -~]{0,40}", scope in "[a-z:,/]{0,30}") {
            let escaped = realm.replace('\\', "\\\\").replace('"', "\\\"");
            let list = parse(&format!("Bearer scope=\"{scope}\",realm=\"{escaped}\""));
            prop_assert_eq!(list.len(), 1);
            prop_assert_eq!(list[0].param("realm"), Some(realm.as_str()));
            prop_assert_eq!(list[0].param("scope"), Some(scope.as_str()));
        }
    }
}
