//! What is looked at beside the account: addresses, instance types, the key pair, quotas.

use super::super::Values;
use super::super::cidr::Cidr;
use super::super::names::short;
use super::numbers::number;
use super::{Around, BATCH_QUOTA, Findings, get, is_true};

/// A VPC of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vpc {
    /// Id.
    pub id: String,
    /// Its addresses.
    pub cidr: String,
}

/// An instance type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceType {
    /// `m5.large`.
    pub name: String,
    /// vCPUs.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
}

/// The four subnets.
const SUBNETS: [&str; 4] =
    ["PublicSubnet1CIDR", "PublicSubnet2CIDR", "PrivateSubnet1CIDR", "PrivateSubnet2CIDR"];

/// Of 100 MiB that an instance type has, at least so many are left to jobs: the rest is the kernel's and the agent's.
const LEFT_PERCENT: u64 = 92;

pub(super) fn check(values: &Values, around: &Around, found: &mut Findings) {
    addresses(values, around, found);
    instances(values, around, found);
    let pair = get(values, "Ec2KeyPair");
    match &around.key_pairs {
        Some(known) if known.is_empty() => {
            found.wrong(
                "Ec2KeyPair",
                "there is no key pair in this region, and CloudFormation asks for one; make one in EC2",
            );
        }
        Some(known) if !known.iter().any(|name| name == pair) => {
            found.wrong("Ec2KeyPair", format!("there is no key pair `{}` in this region", short(pair)));
        }
        Some(_) => found.good("Ec2KeyPair", format!("the key pair `{}` is there", short(pair))),
        None => {}
    }
    // An update makes a new compute environment before the old one goes.
    for (what, used, new) in [
        ("job queues", around.queues, u32::from(!around.updating)),
        ("compute environments", around.environments, 1),
    ] {
        let Some(used) = used else { continue };
        if used + new > BATCH_QUOTA {
            found.wrong(
                what,
                format!("{used} of the {BATCH_QUOTA} {what} of this account and region are used"),
            );
        } else if used + new > BATCH_QUOTA - 5 {
            found
                .odd(what, format!("{used} of the {BATCH_QUOTA} {what} of this account and region are used"));
        } else {
            found.good(what, format!("{used} of {BATCH_QUOTA} are used"));
        }
    }
}

fn addresses(values: &Values, around: &Around, found: &mut Findings) {
    let mut read = |name: &'static str| match Cidr::read(get(values, name)) {
        Ok(cidr) => {
            if !cidr.plain {
                found.odd(name, format!("AWS takes `{}` as {cidr}", short(get(values, name))));
            }
            Some((name, cidr))
        }
        Err(said) => {
            found.wrong(name, said);
            None
        }
    };
    let vpc = read("VpcCIDR");
    let subnets: Vec<_> = SUBNETS.into_iter().filter_map(&mut read).collect();
    if is_true(values, "AllowSSHAccessToCIDRToAllowSSHAccessTo")
        && let Some((name, cidr)) = read("CIDRToAllowSSHAccessTo")
        && cidr.bits < 8
    {
        found.odd(name, "that lets a large part of the internet try SSH");
    }
    for (at, (name, cidr)) in subnets.iter().enumerate() {
        if !(16..=28).contains(&cidr.bits) {
            found.wrong(name, "a subnet has between /16 and /28");
        }
        if let Some((other, _)) = subnets[..at].iter().find(|(_, other)| other.meets(*cidr)) {
            found.wrong(name, format!("it shares addresses with {other}"));
        }
        if vpc.is_some_and(|(_, vpc)| !vpc.holds(*cidr)) {
            found.wrong(name, format!("it is not inside VpcCIDR, {}", short(get(values, "VpcCIDR"))));
        }
    }
    let Some((name, vpc)) = vpc else { return };
    if !(16..=28).contains(&vpc.bits) {
        found.wrong(name, "a VPC has between /16 and /28");
    }
    if around.updating || around.vpcs.is_empty() {
        return;
    }
    let others: Vec<&Vpc> = around
        .vpcs
        .iter()
        .filter(|other| Cidr::read(&other.cidr).is_ok_and(|cidr| cidr.meets(vpc)))
        .collect();
    match others.as_slice() {
        [] => found.good(name, "it meets no other VPC of this region"),
        // That is no error, and of two flocks with the template's default it is usual; only peering is impossible.
        [other, ..] => found.odd(
            name,
            format!(
                "it shares addresses with {} ({}), so the two can never be connected",
                short(&other.id),
                short(&other.cidr)
            ),
        ),
    }
}

fn instances(values: &Values, around: &Around, found: &mut Findings) {
    let (Some(vcpus), Some(memory)) = (number(values, "DesiredCPU"), number(values, "DesiredRam")) else {
        return;
    };
    if around.instance_types.is_empty() {
        return;
    }
    let asked: Vec<&str> =
        get(values, "InstanceTypes").split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    // Batch chooses these by itself.
    if asked.iter().any(|word| matches!(*word, "optimal" | "default_x86_64" | "default_arm64")) {
        return;
    }
    let of = |word: &str, name: &str| {
        name == word
            || (!word.contains('.') && name.strip_prefix(word).is_some_and(|rest| rest.starts_with('.')))
    };
    for word in &asked {
        if !around.instance_types.iter().any(|kind| of(word, &kind.name)) {
            found.odd("InstanceTypes", format!("`{}` is not offered in this region", short(word)));
        }
    }
    let meant: Vec<&InstanceType> =
        around.instance_types.iter().filter(|kind| asked.iter().any(|word| of(word, &kind.name))).collect();
    if meant.is_empty() {
        found.wrong("InstanceTypes", "none of them is offered in this region");
        return;
    }
    let fits = |kind: &&&InstanceType, percent: u64| {
        u64::from(kind.vcpus) >= vcpus && kind.memory_mib * percent / 100 >= memory
    };
    let smallest = |percent: u64| {
        meant.iter().filter(|kind| fits(kind, percent)).min_by_key(|kind| (kind.vcpus, kind.memory_mib))
    };
    if let Some(kind) = smallest(LEFT_PERCENT) {
        found.good(
            "DesiredRam",
            format!("a job of {vcpus} vCPUs and {memory} MiB fits {}", short(&kind.name)),
        );
    } else if let Some(kind) = smallest(100) {
        found.odd(
            "DesiredRam",
            format!(
                "a job of {memory} MiB leaves too little of the {} MiB of {} to the system; it may never start",
                kind.memory_mib,
                short(&kind.name)
            ),
        );
    } else {
        let most = meant.iter().max_by_key(|kind| (kind.vcpus, kind.memory_mib));
        let most = most.map_or_else(String::new, |kind| {
            format!("; the largest, {}, has {} and {}", short(&kind.name), kind.vcpus, kind.memory_mib)
        });
        found.wrong(
            "DesiredRam",
            format!("no instance type asked for has {vcpus} vCPUs and {memory} MiB{most}"),
        );
    }
}
