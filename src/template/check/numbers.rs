//! Numbers: that they are some, and in the range that AWS or the programs take.

use super::super::Values;
use super::super::names::short;
use super::{Findings, get, is_true};

/// What a number may be.
pub(super) struct Range {
    pub(super) name: &'static str,
    least: u64,
    most: u64,
    unit: &'static str,
}

const fn range(name: &'static str, least: u64, most: u64, unit: &'static str) -> Range {
    Range { name, least, most, unit }
}

/// API references of the services, 2026-11; days as our programs take them.
pub(super) const RANGES: &[Range] = &[
    range("DesiredRam", 4, 24_576_000, "MiB"),
    range("DesiredCPU", 1, 2_000, "vCPUs"),
    range("MaxCPU", 1, 2_147_483_647, "vCPUs"),
    range("MinCPU", 0, 100_000, "vCPUs"),
    range("DefaultCapacity", 0, 2_147_483_647, "vCPUs"),
    range("UlimitsNoFilesOpen", 1_024, 1_048_576, "files"),
    range("EFSThroughput", 1, 3_414, "MiB/s"),
    range("LustreStorageCapacity", 1_200, 1_000_000_000, "GiB"),
    range("SizeOfRootDisk", 30, 65_536, "GiB"),
    range("SizeOfContainerStorageDisk", 1, 65_536, "GiB"),
    range("LambdaMemorySize", 128, 10_240, "MB"),
    range("SchedulerMemorySize", 128, 10_240, "MB"),
    range("DaysToKeepFailedLaunchIndexes", 0, 36_500, "days"),
    range("DaysToKeepEndedRows", 0, 36_500, "days"),
    range("LostUploadsHours", 0, 876_000, "hours"),
    range("DaysToKeepOldVersions", 0, 36_500, "days"),
    range("DaysToKeepErrors", 0, 36_500, "days"),
    range("DaysToKeepCheckpoints", 1, 36_500, "days"),
    range("DaysToKeepUntaggedImages", 0, 36_500, "days"),
    range("JobAttempts", 1, 10, "attempts"),
    range("JobTimeoutSeconds", 0, 31_536_000, "seconds"),
    range("StuckJobSeconds", 600, 86_400, "seconds"),
    range("PayloadSharedMemoryMiB", 0, 16_777_216, "MiB"),
];

/// The number a value is.
pub(super) fn number(values: &Values, name: &str) -> Option<u64> {
    get(values, name).parse().ok()
}

pub(super) fn check(values: &Values, found: &mut Findings) {
    for Range { name, least, most, unit } in RANGES {
        let Some(value) = values.get(*name) else { continue };
        if !value.parse::<u64>().is_ok_and(|value| value >= *least && value <= *most) {
            found.wrong(name, format!("`{}` is no number of {unit} from {least} to {most}", short(value)));
        }
    }
    let at_least = |name: &str, least: &str| Some(number(values, name)? < number(values, least)?);
    if at_least("MaxCPU", "DesiredCPU") == Some(true) {
        found.wrong("MaxCPU", "it is less than one job's DesiredCPU, so no job would ever run");
    }
    for name in ["MinCPU", "DefaultCapacity"] {
        if at_least("MaxCPU", name) == Some(true) {
            found.wrong(name, "it is more than MaxCPU");
        }
    }
    if number(values, "JobTimeoutSeconds").is_some_and(|seconds| (1..60).contains(&seconds)) {
        found.wrong("JobTimeoutSeconds", "Batch stops no attempt before 60 seconds; 0 is never");
    }
    let capacity = number(values, "LustreStorageCapacity");
    if is_true(values, "ToggleLustre")
        && capacity.is_some_and(|size| size != 1_200 && !size.is_multiple_of(2_400))
    {
        found.wrong("LustreStorageCapacity", "it has to be 1200 GiB or a multiple of 2400");
    }
    let (hours, days) = (number(values, "LostUploadsHours"), number(values, "DaysToKeepFailedLaunchIndexes"));
    if let (Some(hours), Some(days)) = (hours, days)
        && hours > days.saturating_mul(24)
    {
        found.wrong(
            "LostUploadsHours",
            format!(
                "it is more than the {days} days of DaysToKeepFailedLaunchIndexes, after which rows are gone"
            ),
        );
    }
    if number(values, "MinCPU").is_some_and(|kept| kept > 0) {
        found.odd("MinCPU", "instances run, and are paid for, even when there is nothing to do");
    }
    if number(values, "MaxCPU").is_some_and(|most| most > 100_000) {
        found.odd("MaxCPU", "nothing limits what a mistake can cost");
    }
}
