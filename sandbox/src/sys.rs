//! System calls that no safe wrapper exists for. All `unsafe` of the crate is here.
#![expect(unsafe_code, reason = "raw system calls; everything around them is checked Rust")]

use std::ffi::{CStr, CString, c_char};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use rustix::thread::UnshareFlags;

/// Which side of a [`fork`] goes on.
#[derive(Debug)]
pub(crate) enum Fork {
    /// The new process.
    Child,
    /// The old process, with a pidfd of the new one.
    Parent(OwnedFd),
}

/// Forks with `CLONE_NEW*` flags.
///
/// # Safety
///
/// The calling process has no other thread: the child may then allocate and take locks like any process.
pub(crate) unsafe fn fork(namespaces: i32) -> io::Result<Fork> {
    let flags = namespaces | libc::CLONE_PIDFD | libc::SIGCHLD;
    let mut pidfd: libc::c_int = -1;
    // SAFETY: without CLONE_VM and with a null stack this is a fork; the kernel writes the pidfd to the third
    // argument on every architecture. The caller promises to be single-threaded.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone,
            libc::c_long::from(flags),
            ptr::null_mut::<libc::c_void>(),
            &raw mut pidfd,
            ptr::null_mut::<libc::c_void>(),
            ptr::null_mut::<libc::c_void>(),
        )
    };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        // SAFETY: the kernel gave us this new descriptor.
        _ => Ok(Fork::Parent(unsafe { OwnedFd::from_raw_fd(pidfd) })),
    }
}

/// Moves this thread into new namespaces.
pub(crate) fn unshare(flags: UnshareFlags) -> rustix::io::Result<()> {
    assert!(!flags.contains(UnshareFlags::FILES));
    // SAFETY: the table of file descriptors stays shared.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// Ends this process without running anything else.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: has no precondition.
    unsafe { libc::_exit(code) }
}

#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Adds `MOUNT_ATTR_*` flags to a mount, or to all mounts of its tree.
pub(crate) fn mount_setattr(mount: BorrowedFd<'_>, set: u64, recursive: bool) -> io::Result<()> {
    let attr = MountAttr { set, clear: 0, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty C string, the attribute block lives through the call and its size is given.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    })
}

/// One instruction of a classic BPF program: `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Instruction {
    pub(crate) code: u16,
    pub(crate) jump_true: u8,
    pub(crate) jump_false: u8,
    pub(crate) operand: u32,
}

#[repr(C)]
struct Program {
    len: u16,
    instructions: *const Instruction,
}

/// Filters this process's system calls from now on. Needs `CAP_SYS_ADMIN`.
pub(crate) fn set_seccomp_filter(instructions: &[Instruction]) -> io::Result<()> {
    const SET_MODE_FILTER: libc::c_long = 1;
    const FLAG_SPEC_ALLOW: libc::c_long = 4;
    let len = u16::try_from(instructions.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    let program = Program { len, instructions: instructions.as_ptr() };
    // SAFETY: the program and its instructions, laid out as the kernel's structs, live through the call.
    check(unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, FLAG_SPEC_ALLOW, &raw const program) })
}

/// Leaves the session keyring of whoever started us for a new one.
pub(crate) fn join_new_session_keyring() -> io::Result<()> {
    const JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: a null name asks for an anonymous keyring; no memory is touched.
    check(unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, ptr::null::<c_char>()) })
}

/// Marks every descriptor from `first` on as closed on `execve`.
pub(crate) fn close_on_exec_from(first: u32) -> io::Result<()> {
    const CLOEXEC: libc::c_long = 4;
    // SAFETY: changes flags only, so no descriptor that something owns goes away.
    check(unsafe {
        libc::syscall(libc::SYS_close_range, libc::c_long::from(first), libc::c_long::from(u32::MAX), CLOEXEC)
    })
}

/// Gives every signal its default action and blocks none, as a program expects to be started.
pub(crate) fn reset_signals() {
    // The C library keeps some signals to itself, so that it leaves them ignored where our caller ignored them.
    const SET_BYTES: usize = 8;
    let default = [0_u64; 4];
    for signal in 1..=64 {
        // SAFETY: zeros are the kernel's `struct sigaction` for the default action, which runs no code of ours;
        // numbers that can't be set are refused.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), ptr::null_mut::<u64>(), SET_BYTES)
        };
    }
    // SAFETY: an all-zero `sigset_t` is valid memory, which `sigemptyset` then fills in.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
    }
}

/// Has ended children wait to be asked about: where a caller made this process ignore them, they vanish.
pub(crate) fn keep_ended_children() {
    // SAFETY: the default action runs no code of ours.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// Null-terminated list of C strings for [`execve`].
pub(crate) struct Strings {
    _owned: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl Strings {
    pub(crate) fn new(owned: Vec<CString>) -> Self {
        let pointers = owned.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect();
        Self { _owned: owned, pointers }
    }
}

/// Replaces this process's program; returns only when that failed.
pub(crate) fn execve(program: &CStr, args: &Strings, env: &Strings) -> io::Error {
    // SAFETY: all three are null-terminated and live through the call.
    unsafe { libc::execve(program.as_ptr(), args.pointers.as_ptr(), env.pointers.as_ptr()) };
    io::Error::last_os_error()
}

/// Brings up the loopback interface of this network namespace.
pub(crate) fn loopback_up(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: an all-zero `ifreq` is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as c_char;
    request.ifr_name[1] = b'o' as c_char;
    // SAFETY: the kernel reads and writes one `ifreq`, which lives through both calls.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS as _, &raw mut request) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above filled in the flags, the active member of the union.
    unsafe { request.ifr_ifru.ifru_flags |= (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short };
    // SAFETY: as for the first call.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw mut request) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
