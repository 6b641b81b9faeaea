//! Limits as what is written to the files of control groups.

use crate::process::Limits;

/// One file of a group and its content.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Which controller has the file.
    pub(crate) controller: &'static str,
    /// Which limit it is for, in messages.
    pub(crate) limit: &'static str,
    pub(crate) file: &'static str,
    pub(crate) value: String,
}

/// What the kernel takes a share of processor time by when none is asked for.
const USUAL_PERIOD: u64 = 100_000;

/// The settings of all limits, in the order in which they have to be written; those of a controller are together.
pub(crate) fn of(limits: &Limits, unified: bool) -> Vec<Setting> {
    if unified { unified_settings(limits) } else { legacy_settings(limits) }
}

fn unified_settings(limits: &Limits) -> Vec<Setting> {
    let mut all = Vec::new();
    let mut add = |controller, limit, file, value: Option<String>| {
        all.extend(value.map(|value| Setting { controller, limit, file, value }));
    };
    add("memory", "memory", "memory.max", limits.memory.map(|bytes| bytes.to_string()));
    let swap = limits.memory_swap.map(|total| match u64::try_from(total) {
        // Here swap is counted by itself, and there with the memory.
        Ok(total) => total.saturating_sub(limits.memory.unwrap_or(0)).to_string(),
        Err(_) => "max".to_owned(),
    });
    add("memory", "memory-swap", "memory.swap.max", swap);
    add("cpu", "cpu-shares", "cpu.weight", limits.cpu_shares.map(|shares| weight(shares).to_string()));
    let period = limits.cpu_period.unwrap_or(USUAL_PERIOD);
    let quota = limits.cpu_quota.and_then(|quota| u64::try_from(quota).ok().filter(|quota| *quota > 0));
    let quota = quota.map_or_else(|| "max".to_owned(), |quota| quota.to_string());
    let asked = limits.cpu_quota.is_some() || limits.cpu_period.is_some();
    add("cpu", "cpu-quota", "cpu.max", asked.then(|| format!("{quota} {period}")));
    add("cpuset", "cpuset-cpus", "cpuset.cpus", limits.cpuset_cpus.clone());
    add("cpuset", "cpuset-mems", "cpuset.mems", limits.cpuset_mems.clone());
    all
}

fn legacy_settings(limits: &Limits) -> Vec<Setting> {
    let mut all = Vec::new();
    let mut add = |controller, limit, file, value: Option<String>| {
        all.extend(value.map(|value| Setting { controller, limit, file, value }));
    };
    add("memory", "memory", "memory.limit_in_bytes", limits.memory.map(|bytes| bytes.to_string()));
    add(
        "memory",
        "memory-swap",
        "memory.memsw.limit_in_bytes",
        limits.memory_swap.map(|total| total.to_string()),
    );
    add("cpu", "cpu-shares", "cpu.shares", limits.cpu_shares.map(|shares| shares.to_string()));
    add("cpu", "cpu-period", "cpu.cfs_period_us", limits.cpu_period.map(|period| period.to_string()));
    add("cpu", "cpu-quota", "cpu.cfs_quota_us", limits.cpu_quota.map(|quota| quota.to_string()));
    add("cpuset", "cpuset-cpus", "cpuset.cpus", limits.cpuset_cpus.clone());
    add("cpuset", "cpuset-mems", "cpuset.mems", limits.cpuset_mems.clone());
    all
}

/// Shares (2 to 262144, usually 1024) as a weight (1 to 10000).
fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(limits: &Limits, unified: bool) -> Vec<String> {
        of(limits, unified).iter().map(|s| format!("{} = {}", s.file, s.value)).collect()
    }

    #[test]
    fn nothing_asked_nothing_set() {
        assert!(of(&Limits::default(), true).is_empty() && of(&Limits::default(), false).is_empty());
    }

    #[test]
    fn both_kinds_of_hierarchy() {
        let limits = Limits {
            memory: Some(100),
            memory_swap: Some(150),
            cpu_shares: Some(1024),
            cpu_period: Some(50_000),
            cpu_quota: Some(25_000),
            cpuset_cpus: Some("0-1".into()),
            cpuset_mems: Some("0".into()),
        };
        assert_eq!(
            show(&limits, true),
            [
                "memory.max = 100",
                "memory.swap.max = 50",
                "cpu.weight = 39",
                "cpu.max = 25000 50000",
                "cpuset.cpus = 0-1",
                "cpuset.mems = 0"
            ]
        );
        assert_eq!(
            show(&limits, false),
            [
                "memory.limit_in_bytes = 100",
                "memory.memsw.limit_in_bytes = 150",
                "cpu.shares = 1024",
                "cpu.cfs_period_us = 50000",
                "cpu.cfs_quota_us = 25000",
                "cpuset.cpus = 0-1",
                "cpuset.mems = 0"
            ]
        );
        let unlimited =
            Limits { memory: Some(1), memory_swap: Some(-1), cpu_quota: Some(-1), ..Limits::default() };
        assert_eq!(
            show(&unlimited, true),
            ["memory.max = 1", "memory.swap.max = max", "cpu.max = max 100000"]
        );
    }
}
