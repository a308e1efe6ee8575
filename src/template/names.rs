//! What AWS takes as a name, service by service (their API references, 2026-11).

/// Rule of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Of a bucket: one of its kind in the world.
    Bucket,
    /// Of a DynamoDB table.
    Table,
    /// Of a secret.
    Secret,
    /// Of an ECR repository.
    Repository,
    /// Of an SQS queue.
    Queue,
    /// Of a Batch queue or job definition.
    Batch,
    /// What a Batch compute environment's name begins with: a hyphen and eight digits follow.
    BatchPrefix,
    /// What a launch template's name begins with: a hyphen and eight digits follow.
    LaunchTemplate,
    /// Value of a tag.
    Tag,
}

/// Which parameter is which name.
pub(super) const NAMES: &[(&str, Rule)] = &[
    ("InputsBucket", Rule::Bucket),
    ("OutputsBucket", Rule::Bucket),
    ("QuickDeployBucket", Rule::Bucket),
    ("ErrorsBucket", Rule::Bucket),
    ("LustreBucketName", Rule::Bucket),
    ("TableName", Rule::Table),
    ("SecretsManagerName", Rule::Secret),
    ("ECRRepoName", Rule::Repository),
    ("SQSName", Rule::Queue),
    ("QueueName", Rule::Batch),
    ("JobDefinitionName", Rule::Batch),
    ("ComputeEnvironmentName", Rule::BatchPrefix),
    ("LaunchTemplateName", Rule::LaunchTemplate),
    ("BatchInstanceNames", Rule::Tag),
    ("ProjectName", Rule::Tag),
    ("TeamName", Rule::Tag),
    ("ContactEmail", Rule::Tag),
    ("WorkloadValue", Rule::Tag),
    ("EFSName", Rule::Tag),
    ("LustreName", Rule::Tag),
    ("EnvironmentName", Rule::Tag),
];

/// Why a text is no such name, as the end of a sentence that begins with the name; None where it is one.
pub(super) fn problem(rule: Rule, name: &str) -> Option<String> {
    let (least, most, others, signs) = match rule {
        Rule::Bucket => (3, 63, ".-", "small letters, digits, hyphens and dots"),
        Rule::Table => (3, 255, "_.-", "letters, digits and _ . -"),
        Rule::Secret => (1, 512, "/_+=.@-", "letters, digits and / _ + = . @ -"),
        Rule::Repository => (2, 256, "/_.-", "small letters, digits and / _ . -"),
        Rule::Queue => (1, 80, "_-", "letters, digits and _ -"),
        Rule::Batch => (1, 128, "_-", "letters, digits and _ -"),
        Rule::BatchPrefix => (1, 119, "_-", "letters, digits and _ -"),
        Rule::LaunchTemplate => (3, 119, "()./_-", "letters, digits and ( ) . / _ -"),
        Rule::Tag => (0, 230, " _.:/=+-@", "letters, digits, spaces and _ . : / = + - @"),
    };
    let length = name.chars().count();
    if length < least {
        return Some(if name.is_empty() {
            "is empty".into()
        } else {
            format!("has fewer than {least} characters")
        });
    }
    if length > most {
        return Some(format!("has {length} characters, more than {most}"));
    }
    let small = matches!(rule, Rule::Bucket | Rule::Repository);
    let letter = |c: char| match rule {
        Rule::Tag => c.is_alphanumeric(),
        _ if small => c.is_ascii_lowercase() || c.is_ascii_digit(),
        _ => c.is_ascii_alphanumeric(),
    };
    if let Some(sign) = name.chars().find(|c| !letter(*c) && !others.contains(*c)) {
        return Some(format!("has {sign:?} in it; it may have {signs}"));
    }
    let (first, last) = (name.chars().next(), name.chars().next_back());
    let ends = |ok: fn(char) -> bool| first.is_some_and(ok) && last.is_some_and(ok);
    match rule {
        Rule::Bucket => {
            if !ends(|c| c.is_ascii_alphanumeric()) {
                return Some("begins or ends with a sign that is no letter and no digit".into());
            }
            if ["..", ".-", "-."].iter().any(|pair| name.contains(pair)) {
                return Some("has a dot beside a dot or a hyphen".into());
            }
            if name.parse::<std::net::Ipv4Addr>().is_ok() {
                return Some("looks like an address".into());
            }
            let reserved =
                name.starts_with("xn--") || name.starts_with("sthree-") || name.starts_with("amzn-s3-demo-");
            let suffixes = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];
            (reserved || suffixes.iter().any(|end| name.ends_with(end)))
                .then(|| "begins or ends with what AWS keeps for itself".into())
        }
        Rule::Repository => {
            let doubled =
                ["//", "..", "--", "/.", "/-", "/_", "./", "-/", "_/"].iter().any(|pair| name.contains(pair));
            (!ends(|c| c.is_ascii_alphanumeric()) || doubled)
                .then(|| "has a sign where a letter or digit has to be".into())
        }
        Rule::Batch | Rule::BatchPrefix if !first.is_some_and(|c| c.is_ascii_alphanumeric()) => {
            Some("begins with a sign that is no letter and no digit".into())
        }
        _ => None,
    }
}

/// The beginning of a text that came from outside, on one line.
pub(super) fn short(text: &str) -> String {
    text.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_aws_takes_and_names_that_it_does_not() {
        for (rule, good, bad) in [
            (
                Rule::Bucket,
                &["a-b", "a.b.c", "0ab"][..],
                &["ab", "A-b", "a_b", "-ab", "ab-", "a..b", "a.-b", "1.2.3.4", "xn--a", "a--x-s3"][..],
            ),
            (Rule::Table, &["a-b", "A_1.x"], &["ab", "a b", "é12"]),
            (Rule::Secret, &["a/b@c", "x"], &["", "a b"]),
            (Rule::Repository, &["shepard_container", "a/b-c"], &["a", "A/b", "a//b", "-ab", "ab-", "a/-b"]),
            (Rule::Queue, &["a_b-c"], &["", "a.b", "a b"]),
            (Rule::Batch, &["a_b-c", "0"], &["_a", "-a", "a.b"]),
            (Rule::BatchPrefix, &["a"], &["_a"]),
            (Rule::LaunchTemplate, &["a/(b).c"], &["ab", "a b c"]),
            (Rule::Tag, &["", "it@x.org", "Ünïcode 1"], &["a\nb", "a<b"]),
        ] {
            for name in good {
                assert_eq!(problem(rule, name), None, "{rule:?} {name}");
            }
            for name in bad {
                assert!(problem(rule, name).is_some(), "{rule:?} {name}");
            }
        }
        assert!(problem(Rule::Bucket, &"a".repeat(64)).is_some_and(|said| said.contains("64")));
        assert!(problem(Rule::BatchPrefix, &"a".repeat(120)).is_some());
    }

    #[test]
    fn the_names_are_parameters() {
        for (name, _) in NAMES {
            assert!(super::super::template().parameter(name).is_some(), "{name}");
        }
    }
}
