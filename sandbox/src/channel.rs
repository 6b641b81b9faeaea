//! Messages with file descriptors between this crate's processes.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::wire;

/// Enough for every message here; what is long goes through a file in memory.
const MAX_MESSAGE: usize = 1024;
/// No message has more descriptors.
const MAX_FDS: usize = 8;

/// First message of the warden.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Hello {
    /// It waits for requests.
    Ready {
        /// `/proc` can't be mounted here.
        foreign_proc: bool,
    },
    /// It could not start.
    Failed { step: String, errno: i32 },
}

/// Asks the warden for a process. Descriptors: the order as a file, stdout, stderr, report, status.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    /// Whether the process gets its own network.
    pub(crate) own_network: bool,
}

/// What the warden tells about one process, on the request's status socket.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Progress {
    /// It exists. Descriptor: a pidfd.
    Started,
    /// It could not be made.
    Failed { errno: i32 },
    /// It exited with a code.
    Exited(i32),
    /// A signal ended it.
    Killed(i32),
}

/// Two connected sockets that keep messages apart.
pub(crate) fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// Sends one message.
pub(crate) fn send<T: Serialize>(
    socket: BorrowedFd<'_>,
    message: &T,
    fds: &[BorrowedFd<'_>],
) -> Result<(), Errno> {
    let bytes = wire::encode(message);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::TOOBIG);
    }
    sendmsg(socket, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL).map(drop)
}

/// Waits for one message; `None` when the other side is gone.
pub(crate) fn receive<T: DeserializeOwned>(socket: BorrowedFd<'_>) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut bytes = [0; MAX_MESSAGE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match recvmsg(
            socket.as_fd(),
            &mut [IoSliceMut::new(&mut bytes)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        ) {
            Err(Errno::INTR) => {}
            Err(Errno::CONNRESET) => return Ok(None),
            result => break result?,
        }
    };
    if received.bytes == 0 {
        return Ok(None);
    }
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    let message =
        wire::decode(&bytes[..received.bytes]).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok(Some((message, fds)))
}
