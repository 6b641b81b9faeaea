//! Hands images to a running Docker or podman through its socket, in the API that both speak.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use garboard_cache::Store;
use garboard_registry::Digest;
use serde_json::Value;

use crate::archive;
use crate::env::{self, Env};
use crate::failure::{Failure, io_text};
use crate::stored::{Single, Stored};

/// Longest answer that is read.
const ANSWER_LIMIT: u64 = 4 << 20;
/// More images of the daemon are not looked at.
const MOST_IMAGES: usize = 200;
/// How long a daemon may be silent, but for loading.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long loading may take after the last byte.
const LOADING: Duration = Duration::from_mins(10);

/// A running daemon.
pub(crate) struct Daemon {
    socket: PathBuf,
}

/// Kinds of daemons that may take images without all of their layers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Docker,
    Podman,
}

/// An answer of it.
struct Answer {
    status: u16,
    body: String,
}

impl Daemon {
    /// The daemon of that name: `docker`, `podman`, or a socket's path.
    pub(crate) fn named(name: &str, env: &Env) -> Result<Self, Failure> {
        let places = match name {
            "docker" => docker_sockets(env)?,
            "podman" => podman_sockets(env),
            path => vec![PathBuf::from(path.strip_prefix("unix://").unwrap_or(path))],
        };
        let found = places.iter().find(|place| place.exists()).cloned();
        found.map(|socket| Self { socket }).ok_or_else(|| {
            let list: Vec<String> = places.iter().map(|place| format!("`{}`", place.display())).collect();
            Failure::hinted(
                format!("no {name} is running: there is no {}", list.join(" and no ")),
                match name {
                    "podman" => "start its service: `systemctl --user start podman.socket`",
                    _ => "start it, or name its socket with `--to=/path/to/socket`",
                },
            )
        })
    }

    /// Docker, else podman, if one is there that answers. `DOCKER_HOST` leaves no choice.
    pub(crate) fn running(env: &Env) -> Option<Self> {
        let names =
            if env.filled(env::DOCKER_HOST).is_some() { &["docker"][..] } else { &["docker", "podman"] };
        let mut daemons = names.iter().filter_map(|name| Self::named(name, env).ok());
        daemons.find(|daemon| daemon.get("/version").is_some())
    }

    /// Has it take images. Layers that it has already are not sent, where it can do without them. Gives its own words.
    pub(crate) fn load(&self, store: &Store, images: &[Stored]) -> Result<String, Failure> {
        let kind = self.kind();
        // podman takes several images as Docker's archive, whose short names it has other ideas about
        let at_once = if kind == Some(Kind::Podman) { 1 } else { images.len().max(1) };
        let said = images.chunks(at_once).map(|images| {
            let without = kind.and_then(|kind| self.layers_it_has(kind, store, images)).unwrap_or_default();
            self.load_without(store, images, &without)
        });
        said.collect::<Result<Vec<_>, _>>().map(|words| words.join("\n"))
    }

    fn load_without(
        &self,
        store: &Store,
        images: &[Stored],
        without: &HashSet<Digest>,
    ) -> Result<String, Failure> {
        let answer = self.send_archive(store, images, without)?;
        if answer.status == 200 && !is_complaint(&answer.body) {
            return Ok(words(&answer.body));
        }
        if without.is_empty() {
            return Err(self.refused(&answer));
        }
        // it could not do without them after all: podman has layers by the digests of blobs, which we can't ask for
        self.load_without(store, images, &HashSet::new())
    }

    fn refused(&self, answer: &Answer) -> Failure {
        let (place, said) = (self.socket.display(), words(&answer.body));
        Failure::message(format!(
            "the daemon at `{place}` did not take the image: {} {}",
            answer.status,
            said.trim()
        ))
    }

    fn send_archive(
        &self,
        store: &Store,
        images: &[Stored],
        without: &HashSet<Digest>,
    ) -> Result<Answer, Failure> {
        let mut stream = self.connect()?;
        let head = "POST /images/load?quiet=1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-tar\r\n\
                    Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).map_err(|error| self.broke(&error))?;
        let mut chunked = Chunked(&mut stream);
        let written = archive::write(store, images, true, without, &mut chunked);
        // a daemon that refuses says why, and closes before it read everything
        if written.is_ok() {
            stream.write_all(b"0\r\n\r\n").map_err(|error| self.broke(&error))?;
        }
        let limit = stream.set_read_timeout(Some(LOADING));
        match limit.and_then(|()| read_answer(stream)) {
            Ok(answer) => Ok(answer),
            Err(error) => Err(written.err().unwrap_or_else(|| self.broke(&error))),
        }
    }

    /// What it says that it is.
    fn kind(&self) -> Option<Kind> {
        let version = self.get("/version")?;
        version["Components"].as_array()?.iter().find_map(|part| match part["Name"].as_str()? {
            "Engine" => Some(Kind::Docker),
            "Podman Engine" => Some(Kind::Podman),
            _ => None,
        })
    }

    /// The blobs of layers that stand in the same place in an image that the daemon has, if it may do without them.
    fn layers_it_has(&self, kind: Kind, store: &Store, images: &[Stored]) -> Option<HashSet<Digest>> {
        // in containerd's store, which keeps blobs, an image is not whole without each of its own
        if kind == Kind::Docker
            && self.get("/info")?["DriverStatus"].to_string().contains("io.containerd.snapshotter")
        {
            return None;
        }
        let known: Vec<Vec<String>> = self
            .get("/images/json")?
            .as_array()?
            .iter()
            .take(MOST_IMAGES)
            .filter_map(|image| self.get(&format!("/images/{}/json", image["Id"].as_str()?)))
            .map(|image| diff_ids(&image["RootFS"]["Layers"]))
            .collect();
        let singles = images.iter().filter_map(|image| image.single(store, None).ok());
        Some(singles.flat_map(|single| shared(&single, &known)).collect())
    }

    fn get(&self, path: &str) -> Option<Value> {
        let mut stream = self.connect().ok()?;
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        let answer = read_answer(stream).ok()?;
        (answer.status == 200).then(|| serde_json::from_str(&answer.body).ok())?
    }

    fn connect(&self) -> Result<UnixStream, Failure> {
        let connected = UnixStream::connect(&self.socket).and_then(|stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(stream)
        });
        connected.map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::PermissionDenied => "add yourself to the group that owns the socket",
                _ => "check that the daemon is running",
            };
            let message =
                format!("can't reach the daemon at `{}`: {}", self.socket.display(), io_text(&error));
            Failure::hinted(message, hint)
        })
    }

    fn broke(&self, error: &io::Error) -> Failure {
        Failure::message(format!(
            "the connection to the daemon at `{}` broke: {}",
            self.socket.display(),
            io_text(error)
        ))
    }
}

/// Where `DOCKER_HOST` says, else the usual places.
fn docker_sockets(env: &Env) -> Result<Vec<PathBuf>, Failure> {
    if let Some(address) = env.filled(env::DOCKER_HOST) {
        let path = address.strip_prefix("unix://").ok_or_else(|| {
            Failure::message(format!("can't hand images to `{address}`: only `unix://` is spoken here"))
        })?;
        return Ok(vec![path.into()]);
    }
    let own = env.path(env::XDG_RUNTIME_DIR).map(|folder| folder.join("docker.sock"));
    Ok([PathBuf::from("/var/run/docker.sock")].into_iter().chain(own).collect())
}

fn podman_sockets(env: &Env) -> Vec<PathBuf> {
    let own = env.path(env::XDG_RUNTIME_DIR).map(|folder| folder.join("podman/podman.sock"));
    own.into_iter().chain([PathBuf::from("/run/podman/podman.sock")]).collect()
}

/// The layers at the bottom of an image that one of the others has there too.
fn shared(single: &Single, known: &[Vec<String>]) -> Vec<Digest> {
    let own = diff_ids(&single.config["rootfs"]["diff_ids"]);
    let same = |other: &Vec<String>| own.iter().zip(other).take_while(|(one, other)| one == other).count();
    let count = known.iter().map(same).max().unwrap_or_default();
    single.manifest.layers.iter().take(count).map(|layer| layer.digest.clone()).collect()
}

fn diff_ids(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|id| id.as_str().map(str::to_owned)).collect()
}

/// Writes the pieces of a body whose length nobody knows yet.
struct Chunked<'a>(&'a mut UnixStream);

impl Write for Chunked<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if data.is_empty() {
            return Ok(0);
        }
        write!(self.0, "{:x}\r\n", data.len())?;
        self.0.write_all(data)?;
        self.0.write_all(b"\r\n")?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn read_answer(stream: impl Read) -> io::Result<Answer> {
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP");
    let mut reader = BufReader::new(stream.take(ANSWER_LIMIT));
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(bad)?;
    let mut chunked = false;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
            break;
        }
        let line = line.to_ascii_lowercase();
        chunked |= line.starts_with("transfer-encoding:") && line.contains("chunked");
    }
    let mut body = Vec::new();
    if chunked {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let length = u64::from_str_radix(line.trim(), 16).map_err(|_| bad())?;
            if length == 0 {
                break;
            }
            reader.by_ref().take(length).read_to_end(&mut body)?;
            reader.read_line(&mut String::new())?;
        }
    } else {
        reader.read_to_end(&mut body)?;
    }
    Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
}

/// Whether the daemon says in its stream of messages that it failed.
fn is_complaint(body: &str) -> bool {
    messages(body).any(|message| message["errorDetail"].is_object() || message["error"].is_string())
}

/// The daemon's own words, of a stream of messages or of an error.
fn words(body: &str) -> String {
    let texts: Vec<String> = messages(body)
        .filter_map(|message| {
            let text = ["stream", "error", "message", "cause"].iter().find_map(|key| message[*key].as_str());
            text.map(|text| crate::text::printable(text.trim()))
        })
        .collect();
    texts.join("\n")
}

fn messages(body: &str) -> impl Iterator<Item = Value> {
    serde_json::Deserializer::from_str(body)
        .into_iter::<Value>()
        .map_while(Result::ok)
        .collect::<Vec<_>>()
        .into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_answers() {
        let read = |text: &str| read_answer(text.as_bytes()).map(|answer| (answer.status, answer.body));
        assert_eq!(
            read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n")
                .unwrap(),
            (200, "hello!".into())
        );
        assert_eq!(read("HTTP/1.0 404 x\r\n\r\nno").unwrap(), (404, "no".into()));
        assert!(read("nonsense").is_err());
        assert!(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").is_err());
    }

    #[test]
    fn knows_complaints() {
        assert_eq!(words(r#"{"stream":"Loaded image: app:1\n"}"#), "Loaded image: app:1");
        assert!(is_complaint(r#"{"errorDetail":{"message":"x"},"error":"x"}"#));
        assert!(!is_complaint(r#"{"stream":"Loaded image: app:1\n"}"#));
    }
}
