//! What the program may do: limits, capabilities, ids, system calls.

use rustix::io::Errno;
use rustix::process::{Gid, Resource, Rlimit, Uid, getrlimit, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
    set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::user::User;
use crate::error::{Doing, Failure};
use crate::process::{Process, Security, Ulimit};
use crate::sys::{self, Instruction};

/// Open files of a step that has no limit for them. Programs that close every possible descriptor take minutes with
/// the huge soft limits that container hosts have.
const OPEN_FILES: (u64, u64) = (1024, 1 << 20);

/// Docker's default capabilities.
fn kept() -> CapabilitySet {
    CapabilitySet::CHOWN
        | CapabilitySet::DAC_OVERRIDE
        | CapabilitySet::FSETID
        | CapabilitySet::FOWNER
        | CapabilitySet::MKNOD
        | CapabilitySet::NET_RAW
        | CapabilitySet::SETGID
        | CapabilitySet::SETUID
        | CapabilitySet::SETFCAP
        | CapabilitySet::SETPCAP
        | CapabilitySet::NET_BIND_SERVICE
        | CapabilitySet::SYS_CHROOT
        | CapabilitySet::KILL
        | CapabilitySet::AUDIT_WRITE
}

/// Sets the resource limits.
pub(super) fn limit(process: &Process) -> Result<(), Failure> {
    if !process.ulimits.iter().any(|limit| limit.name == "nofile") {
        let (soft, hard) = OPEN_FILES;
        let hard = getrlimit(Resource::Nofile).maximum.map_or(hard, |now| hard.min(now));
        setrlimit(Resource::Nofile, Rlimit { current: Some(soft.min(hard)), maximum: Some(hard) })
            .doing("limiting the open files")?;
    }
    process.ulimits.iter().try_for_each(set_limit)
}

fn set_limit(limit: &Ulimit) -> Result<(), Failure> {
    let step = || format!("setting the limit `{}`", limit.name);
    let resource = resource(&limit.name).ok_or(Errno::INVAL).doing(step())?;
    let value = |value: u64| (value != u64::MAX).then_some(value);
    setrlimit(resource, Rlimit { current: value(limit.soft), maximum: value(limit.hard) }).doing(step())
}

/// Docker's names.
fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "as" => Resource::As,
        "core" => Resource::Core,
        "cpu" => Resource::Cpu,
        "data" => Resource::Data,
        "fsize" => Resource::Fsize,
        "locks" => Resource::Locks,
        "memlock" => Resource::Memlock,
        "msgqueue" => Resource::Msgqueue,
        "nice" => Resource::Nice,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "rss" => Resource::Rss,
        "rtprio" => Resource::Rtprio,
        "rttime" => Resource::Rttime,
        "sigpending" => Resource::Sigpending,
        "stack" => Resource::Stack,
        _ => return None,
    })
}

/// What [`drop_to`] goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Means<'a> {
    /// Which system calls are left; none where they are not known for this kind of processor.
    pub(super) filter: Option<&'a [Instruction]>,
    /// Whether nobody may change groups here.
    pub(super) fixed_groups: bool,
}

/// Whether this user namespace doesn't let groups be changed, as one must that maps a single id: a group may serve to
/// keep someone out of something.
pub(super) fn groups_are_fixed() -> bool {
    // Without user namespaces in the kernel there is no such file.
    std::fs::read("/proc/self/setgroups").is_ok_and(|text| text.trim_ascii() == b"deny")
}

/// Becomes `user` with the rights that `security` leaves. The order matters: the filter and the bounding set need
/// rights that go with the ids and the capabilities.
pub(super) fn drop_to(user: &User, security: Security, means: Means<'_>) -> Result<(), Failure> {
    // Keys of whoever called us; a kernel without keyrings, or a full quota, has none to protect.
    let _ = sys::join_new_session_keyring();
    let now = capabilities(None).doing("reading the capabilities")?.permitted;
    let insecure = security == Security::Insecure;
    let left = if insecure { now } else { now & kept() };
    if insecure {
        set_keep_capabilities(true).doing("keeping the capabilities")?;
    } else {
        limit_bounding_set()?;
        let filter =
            means.filter.ok_or(Errno::NOSYS).doing("filtering system calls: unknown kind of processor")?;
        sys::set_seccomp_filter(filter).doing("filtering system calls")?;
    }
    change_ids(user, means.fixed_groups)?;
    if insecure {
        set_capabilities(None, CapabilitySets { effective: left, permitted: left, inheritable: left })
            .doing("setting the capabilities")?;
        for one in left.iter() {
            configure_capability_in_ambient_set(one, true).doing("setting the capabilities")?;
        }
        return Ok(());
    }
    // Changing to another user has taken them all.
    let left = if user.uid == 0 { left } else { CapabilitySet::empty() };
    clear_ambient_capability_set().doing("setting the capabilities")?;
    set_capabilities(
        None,
        CapabilitySets { effective: left, permitted: left, inheritable: CapabilitySet::empty() },
    )
    .doing("setting the capabilities")
}

fn limit_bounding_set() -> Result<(), Failure> {
    for number in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << number);
        if kept().contains(one) {
            continue;
        }
        match remove_capability_from_bounding_set(one) {
            Ok(()) => {}
            // The kernel has no more.
            Err(Errno::INVAL) => break,
            Err(e) => return Err(e).doing("limiting the capabilities"),
        }
    }
    Ok(())
}

fn change_ids(user: &User, fixed_groups: bool) -> Result<(), Failure> {
    let unmapped = || Failure::UnmappedId(format!("{}:{}", user.uid, user.gid));
    let gid = Gid::from_raw(user.gid);
    let groups: Vec<_> = user.groups.iter().map(|&group| Gid::from_raw(group)).collect();
    match set_thread_groups(&groups)
        .or_else(|e| if e == Errno::INVAL { set_thread_groups(&[gid]) } else { Err(e) })
    {
        // An unmapped group is noticed below.
        Ok(()) | Err(Errno::INVAL) => {}
        Err(Errno::PERM) if fixed_groups => {}
        Err(e) => return Err(e).doing("setting the groups"),
    }
    let to_unmapped =
        |e: Errno| if e == Errno::INVAL { Err(unmapped()) } else { Err(e).doing("changing the user") };
    set_thread_res_gid(gid, gid, gid).or_else(to_unmapped)?;
    let uid = Uid::from_raw(user.uid);
    set_thread_res_uid(uid, uid, uid).or_else(to_unmapped)
}
