//! Each thing that can be said, once.

use super::super::values::{Place, for_new};
use super::*;

fn sound() -> Values {
    let place = Place { word: "flock".into(), account: "123456789012".into(), region: "eu-west-1".into() };
    let mut values = for_new(&place);
    values.insert("LambdaCodeBucket".into(), "code".into());
    values.insert("LambdaCodeKey".into(), "key".into());
    values
}

fn account() -> Around {
    Around {
        updating: false,
        vpcs: vec![Vpc { id: "vpc-1".into(), cidr: "172.31.0.0/16".into() }],
        queues: Some(3),
        environments: Some(4),
        instance_types: ["m5.large", "m5a.large", "m6i.large", "m6a.large", "r5.large", "r6i.large"]
            .map(|name| InstanceType { name: name.into(), vcpus: 2, memory_mib: 8_192 })
            .into(),
        key_pairs: Some(vec!["mine".into()]),
    }
}

/// What is said of a parameter, and how much it weighs, with these values set.
fn said(about: &str, set: &[(&str, &str)], around: &Around) -> Option<(Weight, String)> {
    let mut values = sound();
    values.insert("Ec2KeyPair".into(), "mine".into());
    values.extend(set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    check(&values, around)
        .into_iter()
        .find(|finding| finding.about == about)
        .map(|found| (found.weight, found.said))
}

fn weight(about: &str, set: &[(&str, &str)]) -> Option<Weight> {
    said(about, set, &account()).map(|(weight, _)| weight)
}

#[test]
fn a_new_flock_is_sound_but_for_its_key_pair() {
    let mut values = sound();
    let findings = check(&values, &account());
    let bad: Vec<_> = findings.iter().filter(|finding| finding.weight != Weight::Good).collect();
    assert!(matches!(bad.as_slice(), [one] if one.about == "Ec2KeyPair"), "{bad:?}");
    assert!(!is_sound(&findings));
    values.insert("Ec2KeyPair".into(), "mine".into());
    let findings = check(&values, &account());
    assert!(
        is_sound(&findings) && findings.iter().all(|finding| finding.weight == Weight::Good),
        "{findings:?}"
    );
    assert!(is_sound(&check(&values, &Around::default())), "what is not known is not judged");
}

#[test]
fn the_originals_own_defaults_stay_sound_in_an_update() {
    let mut values = template().defaults();
    for name in ["LambdaCodeBucket", "LambdaCodeKey"] {
        values.insert(name.into(), "given".into());
    }
    let findings = check(&values, &Around { updating: true, ..Around::default() });
    assert!(is_sound(&findings), "{findings:?}");
}

#[test]
fn values_that_aws_refuses() {
    for (about, set) in [
        ("InputsBucket", &[("InputsBucket", "Flock")][..]),
        ("OutputsBucket", &[("OutputsBucket", "same"), ("InputsBucket", "same")]),
        ("QueueName", &[("QueueName", "a b")]),
        ("ToggleEFS", &[("ToggleEFS", "true")]),
        ("InstanceTypes", &[("InstanceTypes", " , ")]),
        ("AlarmEmail", &[("AlarmEmail", "nobody")]),
        ("LambdaCodeKey", &[("LambdaCodeKey", "unset")]),
        ("Unheard", &[("Unheard", "of")]),
        ("JobAttempts", &[("JobAttempts", "11")]),
        ("DesiredRam", &[("DesiredRam", "much")]),
        ("MaxCPU", &[("MaxCPU", "1")]),
        ("MinCPU", &[("MinCPU", "65")]),
        ("JobTimeoutSeconds", &[("JobTimeoutSeconds", "59")]),
        ("LustreStorageCapacity", &[("LustreStorageCapacity", "3600"), ("ToggleLustre", "True")]),
        ("LostUploadsHours", &[("LostUploadsHours", "721")]),
        ("NatGateways", &[("MakeSubnetsPublic", "False")]),
        (
            "ExtraIAMPolicyForContainerRole",
            &[
                ("ToggleIncludeExtraIAMPolicyForContainerRole", "True"),
                ("ExtraIAMPolicyForContainerRole", "arn:aws:s3:::x"),
            ],
        ),
        ("VpcCIDR", &[("VpcCIDR", "10.0.0.0/8")]),
        ("PublicSubnet2CIDR", &[("PublicSubnet2CIDR", "10.192.10.0/25")]),
        ("PrivateSubnet1CIDR", &[("PrivateSubnet1CIDR", "10.193.0.0/24")]),
        ("PrivateSubnet2CIDR", &[("PrivateSubnet2CIDR", "10.192.21.0/29")]),
        ("Ec2KeyPair", &[("Ec2KeyPair", "other")]),
        ("DesiredRam", &[("DesiredRam", "9000")]),
        ("DesiredRam", &[("DesiredCPU", "4")]),
        ("InstanceTypes", &[("InstanceTypes", "p9")]),
        ("LustreBucketLink", &[("ToggleLustre", "True"), ("LustreVersion", "unset")]),
    ] {
        let found = said(about, set, &account());
        assert_eq!(
            found.as_ref().map(|(weight, _)| *weight),
            Some(Weight::Wrong),
            "{about} {set:?}: {found:?}"
        );
    }
}

#[test]
fn values_that_are_odd() {
    for (about, set) in [
        ("MaxCPU", &[("MaxCPU", "1000000000")][..]),
        ("NatGateways", &[("NatGateways", "2")]),
        ("ToggleArrayJobs", &[("ToggleOldWorkerImages", "True")]),
        ("LostUploadsHours", &[("TimeToLiveAttribute", "END_TIME")]),
        ("JobAttempts", &[("ComputeEnvironmentType", "SPOT"), ("JobAttempts", "1")]),
        ("TogglePrivilegedPayload", &[("TogglePrivilegedPayload", "True")]),
        ("ToggleAllowAccessToDockerDaemon", &[("ToggleAllowAccessToDockerDaemon", "True")]),
        ("ToggleKeyPair", &[("AllowSSHAccessToCIDRToAllowSSHAccessTo", "True")]),
        ("VpcCIDR", &[("VpcCIDR", "172.31.0.0/16")]),
        ("DesiredRam", &[("DesiredRam", "8000")]),
        ("InstanceTypes", &[("InstanceTypes", "m5, p9.large")]),
        ("MinCPU", &[("MinCPU", "2")]),
    ] {
        let mut all = sound();
        all.insert("Ec2KeyPair".into(), "mine".into());
        all.extend(set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let found = check(&all, &account());
        let odd = found.iter().any(|finding| finding.about == about && finding.weight == Weight::Odd);
        assert!(odd, "{about} {set:?}: {found:?}");
    }
}

#[test]
fn quotas_are_counted() {
    let full = Around { queues: Some(50), environments: Some(47), ..account() };
    assert_eq!(said("job queues", &[], &full).map(|(weight, _)| weight), Some(Weight::Wrong));
    assert_eq!(said("compute environments", &[], &full).map(|(weight, _)| weight), Some(Weight::Odd));
    let updating = Around { updating: true, ..full };
    assert_eq!(said("job queues", &[], &updating).map(|(weight, _)| weight), Some(Weight::Odd));
    assert_eq!(said("job queues", &[], &account()).map(|(weight, _)| weight), Some(Weight::Good));
    assert_eq!(weight("Ec2KeyPair", &[]), Some(Weight::Good));
}

#[test]
fn what_was_typed_does_not_steer_a_terminal() {
    let values: Values = sound().into_keys().map(|name| (name, "\u{1b}[31m\n".into())).collect();
    for finding in check(&values, &account()) {
        assert!(!finding.said.contains(['\u{1b}', '\n']), "{finding:?}");
    }
}
