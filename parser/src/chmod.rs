//! The modes that `--chmod` sets: octal numbers, or the letters of chmod(1).

use nom::Parser;
use nom::branch::alt;
use nom::character::complete::{char, one_of};
use nom::combinator::{all_consuming, map, value};
use nom::multi::{many0, many1, separated_list1};

const ALL: u32 = 0o7777;
const SET_UID: u32 = 0o4000;
const SET_GID: u32 = 0o2000;
const STICKY: u32 = 0o1000;

/// A text that is no mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777")]
pub struct ModeError {
    /// The text.
    pub text: String,
}

/// A change to the mode of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mode(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// All of them get this one.
    Octal(u32),
    /// Changes that depend on the mode a file has.
    Symbolic(Vec<Change>),
}

/// One operator with its letters, such as `u+rw`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    /// The bits of those that it is about.
    who: u32,
    operator: Operator,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Add,
    Remove,
    Set,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// Bits for all of user, group and others; `x_if_useful` is `X`.
    Bits { bits: u32, x_if_useful: bool },
    /// What the user (6), the group (3) or others (0) may; the number is where their bits stand.
    Copy(u32),
}

impl Mode {
    /// Reads an octal number from 0 to 7777, or changes such as `u=rwX,go-w` separated by commas.
    ///
    /// ```
    /// use garboard_parser::chmod::Mode;
    /// assert_eq!(Mode::parse("u=rwX,go=rX").unwrap().apply(0o600, true), 0o755);
    /// ```
    pub fn parse(text: &str) -> Result<Self, ModeError> {
        let invalid = || ModeError { text: text.to_owned() };
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            let is_octal = text.bytes().all(|byte| byte.is_ascii_digit());
            let mode = is_octal.then(|| u32::from_str_radix(text, 8).ok()).flatten();
            return mode.filter(|mode| *mode <= ALL).map(|mode| Self(Kind::Octal(mode))).ok_or_else(invalid);
        }
        let mut clauses = all_consuming(separated_list1(char(','), clause));
        let (_, clauses) = clauses.parse(text).map_err(|_| invalid())?;
        Ok(Self(Kind::Symbolic(clauses.concat())))
    }

    /// Returns the mode if it is the same for all files, whatever they had.
    pub fn octal(&self) -> Option<u32> {
        match self.0 {
            Kind::Octal(mode) => Some(mode),
            Kind::Symbolic(_) => None,
        }
    }

    /// Returns the permission bits (with set-uid, set-gid and sticky) that a file with the bits `mode` gets. There is
    /// no umask.
    pub fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        match &self.0 {
            Kind::Octal(octal) => *octal,
            Kind::Symbolic(changes) => {
                changes.iter().fold(mode & ALL, |mode, change| change.apply(mode, is_dir))
            }
        }
    }
}

impl Change {
    fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        let what = match self.what {
            What::Copy(shift) => (mode >> shift & 0o7) * 0o111,
            What::Bits { bits, x_if_useful } => {
                bits | if x_if_useful && (is_dir || mode & 0o111 != 0) { 0o111 } else { 0 }
            }
        };
        let bits = what & self.who;
        match self.operator {
            Operator::Add => mode | bits,
            Operator::Remove => mode & !bits,
            Operator::Set => {
                // As chmod(1) does, a folder keeps these two bits unless they are named.
                let kept = if is_dir { SET_UID | SET_GID } else { 0 };
                mode & !(self.who & !kept) | bits
            }
        }
    }
}

type Parsed<'t, T> = nom::IResult<&'t str, T>;

fn clause(input: &str) -> Parsed<'_, Vec<Change>> {
    let (rest, who) = many0(alt((
        value(0o700 | SET_UID, char('u')),
        value(0o070 | SET_GID, char('g')),
        value(0o007 | STICKY, char('o')),
        value(ALL, char('a')),
    )))
    .parse(input)?;
    let who = if who.is_empty() { ALL } else { who.into_iter().fold(0, |all, one| all | one) };
    many1(map((operator, what), move |(operator, what)| Change { who, operator, what })).parse(rest)
}

fn operator(input: &str) -> Parsed<'_, Operator> {
    alt((
        value(Operator::Add, char('+')),
        value(Operator::Remove, char('-')),
        value(Operator::Set, char('=')),
    ))
    .parse(input)
}

fn what(input: &str) -> Parsed<'_, What> {
    let copy = alt((
        value(What::Copy(6), char('u')),
        value(What::Copy(3), char('g')),
        value(What::Copy(0), char('o')),
    ));
    alt((copy, bits)).parse(input)
}

fn bits(input: &str) -> Parsed<'_, What> {
    let (rest, letters) = many0(one_of("rwxXst")).parse(input)?;
    let mut bits = 0;
    for letter in &letters {
        bits |= match letter {
            'r' => 0o444,
            'w' => 0o222,
            'x' => 0o111,
            's' => SET_UID | SET_GID,
            't' => STICKY,
            _ => 0,
        };
    }
    Ok((rest, What::Bits { bits, x_if_useful: letters.contains(&'X') }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal() {
        for (text, mode) in
            [("0", 0), ("644", 0o644), ("0755", 0o755), ("07777", 0o7777), ("00000644", 0o644)]
        {
            assert_eq!(Mode::parse(text).unwrap().octal(), Some(mode));
            assert_eq!(Mode::parse(text).unwrap().apply(0o111, true), mode);
        }
    }

    #[test]
    fn like_chmod() {
        for (text, file, dir) in [
            ("go-w", 0o644, 0o104),
            ("u=rw,g=r,o=r", 0o644, 0o644),
            ("a+X", 0o666, 0o135),
            ("u+rw,g+r,o-x,o+w", 0o666, 0o766),
            ("u=rwX,go=rX", 0o644, 0o755),
            ("+x", 0o777, 0o135),
            ("g=u", 0o666, 0o114),
            ("o=", 0o660, 0o120),
            ("u+s,+t", 0o5666, 0o5124),
            ("a=r,u+w", 0o644, 0o644),
            ("u+w-r", 0o266, 0o324),
        ] {
            let mode = Mode::parse(text).unwrap();
            assert_eq!(format!("{:o}", mode.apply(0o666, false)), format!("{file:o}"), "{text}");
            assert_eq!(format!("{:o}", mode.apply(0o124, true)), format!("{dir:o}"), "{text}");
        }
        assert_eq!(Mode::parse("u=rwx,g=rx").unwrap().apply(0o2700, true), 0o2750);
        assert_eq!(Mode::parse("u=rwx,g=rx").unwrap().apply(0o6700, false), 0o750);
    }

    #[test]
    fn faults() {
        for text in ["", "64a", "10000", "888", "abc", "12345", "u", "rw", "u+q", "u+r,", ",u+r", "-1", "+ r"]
        {
            if text == "-1" {
                assert!(Mode::parse(text).is_err());
                continue;
            }
            let message = format!(
                "invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
            );
            assert_eq!(Mode::parse(text).map_err(|error| error.to_string()), Err(message));
        }
    }
}
