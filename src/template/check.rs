//! What is wrong or odd with a stack's values, before anything is sent: by the values alone, and by what is known of the
//! account, which is given as data. What is not known is not judged.

mod numbers;
mod places;

use super::names::{self, NAMES, Rule, short};
use super::{Kind, Values, template};
pub use places::{InstanceType, Vpc};

/// Job queues and compute environments, each, that an account has in a region (service quotas of AWS Batch, 2026-11).
pub const BATCH_QUOTA: u32 = 50;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// It was looked at and is as it should be.
    Good,
    /// It works, and is perhaps not what was meant.
    Odd,
    /// AWS will refuse it, or the flock will not work.
    Wrong,
}

/// One thing that is said of the values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How much it weighs.
    pub weight: Weight,
    /// What it is about: the name of a parameter, or a word for what is none.
    pub about: String,
    /// A sentence without a full stop.
    pub said: String,
}

/// What is known of the account and region. The default knows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Around {
    /// The stack is there already: its own queue, addresses and names are no clash.
    pub updating: bool,
    /// The account's VPCs in the region.
    pub vpcs: Vec<Vpc>,
    /// Batch job queues that there are.
    pub queues: Option<u32>,
    /// Batch compute environments that there are.
    pub environments: Option<u32>,
    /// What the instance types are that the values name, or all that the region offers.
    pub instance_types: Vec<InstanceType>,
    /// Names of the region's key pairs.
    pub key_pairs: Option<Vec<String>>,
}

/// All that can be said, worst first and then in the order of the template.
pub fn check(values: &Values, around: &Around) -> Vec<Finding> {
    let mut found = Findings(Vec::new());
    shapes(values, &mut found);
    buckets(values, &mut found);
    numbers::check(values, &mut found);
    places::check(values, around, &mut found);
    together(values, around, &mut found);
    let Findings(mut found) = found;
    let place = |name: &str| template().parameters().position(|parameter| parameter.name == name);
    found.sort_by_key(|finding| {
        (std::cmp::Reverse(finding.weight), place(&finding.about).unwrap_or(usize::MAX))
    });
    found
}

/// Whether nothing is wrong.
pub fn is_sound(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.weight != Weight::Wrong)
}

/// Where the checks put what they find.
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, weight: Weight, about: &str, said: impl Into<String>) {
        self.0.push(Finding { weight, about: about.to_owned(), said: said.into() });
    }

    fn wrong(&mut self, about: &str, said: impl Into<String>) {
        self.add(Weight::Wrong, about, said);
    }

    fn odd(&mut self, about: &str, said: impl Into<String>) {
        self.add(Weight::Odd, about, said);
    }

    fn good(&mut self, about: &str, said: impl Into<String>) {
        self.add(Weight::Good, about, said);
    }
}

/// A value; empty where there is none, which the shapes have said.
fn get<'a>(values: &'a Values, name: &str) -> &'a str {
    values.get(name).map_or("", String::as_str)
}

fn is_true(values: &Values, name: &str) -> bool {
    get(values, name) == "True"
}

/// Each value by itself: that it is there, allowed, and a name that AWS takes.
fn shapes(values: &Values, found: &mut Findings) {
    for parameter in template().parameters() {
        let name = parameter.name.as_str();
        let Some(value) = values.get(name) else {
            found.wrong(name, "there is no value for it");
            continue;
        };
        if !parameter.allowed.is_empty() && !parameter.allowed.contains(value) {
            let allowed = parameter.allowed.join(", ");
            found.wrong(name, format!("`{}` is none of {allowed}", short(value)));
        }
        // A range says more than a pattern; so does the rule of a name.
        let ruled = numbers::RANGES.iter().any(|range| range.name == name)
            || NAMES.iter().any(|(known, _)| *known == name);
        if let Some(pattern) = parameter.pattern.as_ref().filter(|_| !ruled)
            && !regex::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(value))
        {
            found.wrong(name, format!("`{}` is not what it may be: {}", short(value), parameter.help));
        }
        if parameter.kind == Kind::List && value.split(',').all(|word| word.trim().is_empty()) {
            found.wrong(name, "nothing is listed");
        }
    }
    for name in values.keys().filter(|name| template().parameter(name).is_none()) {
        found.wrong(&short(name), "the template has no such parameter");
    }
    for (name, rule) in NAMES {
        let Some(value) = values.get(*name) else { continue };
        let unused = match *name {
            "ErrorsBucket" => value.is_empty(),
            "LustreBucketName" | "LustreName" => !is_true(values, "ToggleLustre"),
            "EFSName" => !is_true(values, "ToggleEFS"),
            _ => false,
        };
        if let Some(problem) = names::problem(*rule, value).filter(|_| !unused) {
            found.wrong(name, format!("`{}` {problem}", short(value)));
        }
    }
}

/// Two buckets with one name would be one.
fn buckets(values: &Values, found: &mut Findings) {
    let lustre = is_true(values, "ToggleLustre");
    let named: Vec<(&str, &str)> = NAMES
        .iter()
        .filter(|(name, rule)| *rule == Rule::Bucket && (*name != "LustreBucketName" || lustre))
        .map(|(name, _)| (*name, get(values, name)))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    for (at, (name, value)) in named.iter().enumerate() {
        if let Some((other, _)) = named[..at].iter().find(|(_, known)| known == value) {
            found.wrong(
                name,
                format!("`{}` is {other} as well; each bucket needs a name of its own", short(value)),
            );
        }
    }
}

/// Values that do not go together.
fn together(values: &Values, around: &Around, found: &mut Findings) {
    let on = |name: &str| is_true(values, name);
    for name in ["LambdaCodeBucket", "LambdaCodeKey"] {
        if matches!(get(values, name), "" | "unset") {
            found.wrong(name, "the place of the Lambda program is not filled in");
        }
    }
    if !on("MakeSubnetsPublic") && get(values, "NatGateways") == "0" && !on("ToggleInterfaceEndpoints") {
        found.wrong(
            "NatGateways",
            "instances in private subnets reach nothing without a NAT gateway or ToggleInterfaceEndpoints; \
             MakeSubnetsPublic needs neither",
        );
    }
    if on("MakeSubnetsPublic") && get(values, "NatGateways") != "0" {
        found.odd(
            "NatGateways",
            "instances in public subnets do not use a NAT gateway; 0 saves what they cost",
        );
    }
    if on("ToggleIncludeExtraIAMPolicyForContainerRole")
        && !is_policy(get(values, "ExtraIAMPolicyForContainerRole"))
    {
        let value = short(get(values, "ExtraIAMPolicyForContainerRole"));
        found.wrong("ExtraIAMPolicyForContainerRole", format!("`{value}` is no ARN of a managed policy"));
    }
    if on("ToggleArrayJobs") && on("ToggleOldWorkerImages") {
        found.odd(
            "ToggleArrayJobs",
            "an image of the old program runs no array; deploy one of this program first",
        );
    }
    if get(values, "TimeToLiveAttribute") != "SHEPARD_EXPIRES" && get(values, "LostUploadsHours") != "0" {
        found.odd("LostUploadsHours", "nothing is looked for unless TimeToLiveAttribute is SHEPARD_EXPIRES");
    }
    if get(values, "ComputeEnvironmentType") == "SPOT" && get(values, "JobAttempts") == "1" {
        found.odd("JobAttempts", "with one attempt a job that Spot takes back is not run again");
    }
    if on("ToggleLustre") && get(values, "LustreVersion") == "unset" {
        found.odd(
            "LustreVersion",
            "Lustre 2.10 is older than what the instances' system can mount; 2.15 is not",
        );
    }
    if on("ToggleLustre")
        && get(values, "LustreBucketLink") == "association"
        && get(values, "LustreVersion") == "unset"
    {
        found.wrong("LustreBucketLink", "an association needs Lustre 2.12 or 2.15");
    }
    if !around.updating && on("TogglePrivilegedPayload") {
        found.odd(
            "TogglePrivilegedPayload",
            "a privileged payload owns the instance and what other jobs have on it",
        );
    }
    if on("ToggleAllowAccessToDockerDaemon") {
        found.odd("ToggleAllowAccessToDockerDaemon", "who has the engine's socket owns the instance");
    }
    if on("AllowSSHAccessToCIDRToAllowSSHAccessTo") && !on("ToggleKeyPair") {
        found.odd("ToggleKeyPair", "SSH is let in and no key is on the instances");
    }
}

/// `arn:aws:iam::aws:policy/X`, or one of an account.
fn is_policy(arn: &str) -> bool {
    let mut parts = arn.splitn(6, ':');
    let (scheme, partition, service) = (parts.next(), parts.next(), parts.next());
    let (region, account, rest) = (parts.next(), parts.next(), parts.next());
    scheme == Some("arn")
        && partition.is_some_and(|partition| partition.starts_with("aws"))
        && service == Some("iam")
        && region == Some("")
        && account.is_some_and(|account| {
            account == "aws" || (account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()))
        })
        && rest.is_some_and(|rest| rest.strip_prefix("policy/").is_some_and(|name| !name.is_empty()))
}

#[cfg(test)]
mod tests;
