//! Sockets that answer as an agent.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

use super::Source;
use super::keys::Key;
use super::message::{self, FAILURE, MAX_MESSAGE, Request};

/// Connections at a time; whoever opens more waits, so that no step uses up the engine's file descriptors.
const MOST_CONNECTIONS: usize = 32;
/// Pause after a connection couldn't be taken, for want of descriptors.
const PAUSE: Duration = Duration::from_millis(50);
const NAME: &str = "agent";

/// A socket that answers as an agent. When it is dropped nobody answers any more, and its connections are closed.
pub(crate) struct AgentSocket {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl AgentSocket {
    pub(super) fn listen(source: Arc<Source>, folder: &Path) -> io::Result<Self> {
        // By way of a descriptor: a socket's name is 107 bytes at most, and a store may lie deeper.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::open(folder, flags, Mode::empty())?;
        let short = PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&handle)));
        let listener = UnixListener::bind(short.join(NAME))?;
        let path = folder.join(NAME);
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        Ok(Self { path, task: tokio::spawn(accept(listener, source)) })
    }

    /// Where it is, for `SSH_AUTH_SOCK` of a program or for a mount.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for AgentSocket {
    fn drop(&mut self) {
        self.task.abort();
        // It goes with its folder anyway.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Takes connections for ever. They end with this task.
async fn accept(listener: UnixListener, source: Arc<Source>) {
    let mut connections = JoinSet::new();
    loop {
        if connections.len() >= MOST_CONNECTIONS {
            connections.join_next().await;
        }
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    let source = source.clone();
                    // Whoever sends nonsense loses the connection, and that is all.
                    connections.spawn(async move { drop(answer(client, &source).await) });
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
        }
    }
}

/// Answers one client until it goes.
async fn answer(mut client: UnixStream, source: &Source) -> io::Result<()> {
    match source {
        Source::Raw(path) => {
            let mut there = UnixStream::connect(path).await?;
            copy_bidirectional(&mut client, &mut there).await?;
        }
        Source::Keys(keys) => {
            while let Some(body) = read(&mut client).await? {
                write(&mut client, &reply(keys, &body)).await?;
            }
        }
        Source::Agent(path) => {
            let mut agent = UnixStream::connect(path).await?;
            while let Some(body) = read(&mut client).await? {
                if Request::read(&body) == Request::Other {
                    write(&mut client, FAILURE).await?;
                    continue;
                }
                write(&mut agent, &body).await?;
                let reply = read(&mut agent).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
                write(&mut client, &reply).await?;
            }
        }
    }
    Ok(())
}

fn reply(keys: &[Key], body: &[u8]) -> Vec<u8> {
    match Request::read(body) {
        Request::List => message::identities(keys.iter().map(Key::public)),
        Request::Sign { key: wanted, data, flags } => {
            let key = keys.iter().find(|key| key.public() == wanted);
            let signature = key.and_then(|key| key.sign(data, flags));
            signature.map_or_else(|| FAILURE.to_vec(), |signature| message::signature(&signature))
        }
        Request::Other => FAILURE.to_vec(),
    }
}

/// Reads a message; `None` where the other side has closed the connection.
async fn read(stream: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
    let length = match stream.read_u32().await {
        Ok(length) => length as usize,
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(e) => return Err(e),
    };
    if length > MAX_MESSAGE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(body))
}

async fn write(stream: &mut UnixStream, body: &[u8]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(body.len() + 4);
    message::put(&mut bytes, body);
    stream.write_all(&bytes).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agent that answers every message with the message itself.
    fn echo(folder: &Path) -> PathBuf {
        let path = folder.join("echo");
        let listener = UnixListener::bind(&path).unwrap();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    while let Ok(Some(body)) = read(&mut client).await {
                        write(&mut client, &body).await.unwrap();
                    }
                });
            }
        });
        path
    }

    async fn ask(socket: &AgentSocket, body: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut stream = UnixStream::connect(socket.path()).await?;
        write(&mut stream, body).await?;
        read(&mut stream).await
    }

    #[tokio::test]
    async fn only_listing_and_signing_reach_an_agent() {
        let folder = tempfile::tempdir().unwrap();
        let agent = echo(folder.path());
        let own = tempfile::tempdir().unwrap();
        let socket = AgentSocket::listen(Arc::new(Source::Agent(agent)), own.path()).unwrap();
        let sign = [&[13][..], &0u32.to_be_bytes(), &0u32.to_be_bytes(), &0u32.to_be_bytes()].concat();
        assert_eq!(ask(&socket, &[11]).await.unwrap().unwrap(), [11]);
        assert_eq!(ask(&socket, &sign).await.unwrap().unwrap(), sign);
        for refused in [17, 18, 19, 20, 21, 22, 23, 25, 26, 27] {
            assert_eq!(ask(&socket, &[refused, 0, 0]).await.unwrap().unwrap(), FAILURE, "{refused}");
        }
    }

    #[tokio::test]
    async fn connections_end_with_the_client_and_with_the_socket() {
        let folder = tempfile::tempdir().unwrap();
        // Deeper than the name of a socket may be.
        let deep = folder.path().join("d".repeat(150));
        std::fs::create_dir(&deep).unwrap();
        let socket = AgentSocket::listen(Arc::new(Source::Keys(Vec::new())), &deep).unwrap();
        let handle = std::fs::File::open(&deep).unwrap();
        let short = format!("/proc/self/fd/{}/{NAME}", std::os::fd::AsRawFd::as_raw_fd(&handle));
        for _ in 0..5 * MOST_CONNECTIONS {
            let mut stream = UnixStream::connect(&short).await.unwrap();
            write(&mut stream, &[11]).await.unwrap();
            assert_eq!(read(&mut stream).await.unwrap().unwrap(), [12, 0, 0, 0, 0]);
        }
        let mut open = UnixStream::connect(&short).await.unwrap();
        write(&mut open, &[11]).await.unwrap();
        read(&mut open).await.unwrap();
        drop(socket);
        assert!(!matches!(read(&mut open).await, Ok(Some(_))));
        assert!(UnixStream::connect(&short).await.is_err());
    }

    #[tokio::test]
    async fn a_key_says_neither_whose_it_is_nor_where() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let mut make = std::process::Command::new("ssh-keygen");
        let made = make.args(["-q", "-t", "ed25519", "-N", "", "-C", "me@here", "-f"]).arg(&path).status();
        if !made.is_ok_and(|status| status.success()) {
            println!("skipped: ssh-keygen is not installed");
            return;
        }
        let key = Key::read(&path).unwrap();
        let expected = [&[12, 0, 0, 0, 1, 0, 0, 0, 51], key.public(), &[0; 4]].concat();
        let socket = AgentSocket::listen(Arc::new(Source::Keys(vec![key])), folder.path()).unwrap();
        assert_eq!(ask(&socket, &[11]).await.unwrap().unwrap(), expected);
    }

    #[tokio::test]
    async fn too_long_messages_are_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let socket = AgentSocket::listen(Arc::new(Source::Keys(Vec::new())), folder.path()).unwrap();
        let mut stream = UnixStream::connect(socket.path()).await.unwrap();
        stream.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
        assert!(!matches!(read(&mut stream).await, Ok(Some(_))));
    }

    #[tokio::test]
    async fn raw_sockets_pass_everything() {
        let folder = tempfile::tempdir().unwrap();
        let agent = echo(folder.path());
        let own = tempfile::tempdir().unwrap();
        let socket = AgentSocket::listen(Arc::new(Source::Raw(agent)), own.path()).unwrap();
        assert_eq!(ask(&socket, &[19, 1]).await.unwrap().unwrap(), [19, 1]);
    }
}
