//! Values of the template's parameters: those of a new flock, from one word, and those of a flock that is there.

use super::{Values, template};

/// Longest word that a flock's names are made from: with an account's number and the longest region's name behind it, the
/// longest bucket's name is 63 characters.
pub const LONGEST_WORD: usize = 18;

/// What begins every name of a new flock, and where it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The word. [`word_problem`] says which words will do.
    pub word: String,
    /// Number of the account.
    pub account: String,
    /// Region.
    pub region: String,
}

/// Why a word is none that names can be made from; None where it is one. The names of buckets decide: small letters,
/// digits and hyphens.
pub fn word_problem(word: &str) -> Option<&'static str> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if word.is_empty() {
        Some("there is no name")
    } else if word.len() > LONGEST_WORD {
        Some("the name is longer than 18 characters")
    } else if !word.chars().all(plain) {
        Some("a name has small letters, digits and hyphens only")
    } else if !word.starts_with(|c: char| c.is_ascii_lowercase()) {
        Some("a name begins with a letter")
    } else if word.ends_with('-') || word.contains("--") {
        Some("a name has single hyphens, and none at its end")
    } else {
        None
    }
}

/// The values of a new flock: what costs something while it does nothing is off, and payloads have no more rights than
/// they are given. Every parameter is there; the key pair is the template's own, which no account has.
pub fn for_new(place: &Place) -> Values {
    let Place { word, account, region } = place;
    // A bucket's name is the only one of its kind in the world.
    let bucket = |what: &str| format!("{word}-{what}-{account}-{region}");
    let name = |what: &str| format!("{word}-{what}");
    let given: [(&str, String); 52] = [
        ("InputsBucket", bucket("inputs")),
        ("OutputsBucket", bucket("outputs")),
        ("QuickDeployBucket", bucket("quick-deploy")),
        ("ErrorsBucket", bucket("errors")),
        ("LustreBucketName", bucket("lustre")),
        ("TableName", name("jobs")),
        ("SecretsManagerName", name("secrets")),
        ("ECRRepoName", word.clone()),
        ("SQSName", name("uploads")),
        ("BatchInstanceNames", name("instance")),
        ("LaunchTemplateName", name("instances")),
        ("ComputeEnvironmentName", name("compute")),
        ("QueueName", name("jobs")),
        ("JobDefinitionName", name("job")),
        ("EFSName", name("efs")),
        ("LustreName", name("lustre")),
        ("EnvironmentName", word.clone()),
        ("ProjectName", word.clone()),
        ("TeamName", "none".into()),
        ("ContactEmail", "none".into()),
        ("WorkloadValue", "Batch".into()),
        // Small enough for common instances, and large enough to be useful.
        ("DesiredRam", "7000".into()),
        ("DesiredCPU", "2".into()),
        ("MaxCPU", "64".into()),
        ("InstanceTypes", "m5, m5a, m6i, m6a, r5, r6i".into()),
        ("LustreStorageCapacity", "1200".into()),
        ("SizeOfRootDisk", "100".into()),
        ("LambdaMemorySize", "512".into()),
        ("ToggleEFS", "False".into()),
        ("ToggleLustre", "False".into()),
        ("ToggleVariableEBSVolumeSizes", "True".into()),
        ("MakeSubnetsPublic", "True".into()),
        ("NatGateways", "0".into()),
        ("ToggleInterfaceEndpoints", "False".into()),
        ("ToggleKeyPair", "False".into()),
        ("ToggleSessionManager", "True".into()),
        ("ToggleArrayJobs", "True".into()),
        ("JobAttempts", "5".into()),
        ("TogglePrivilegedPayload", "False".into()),
        ("ToggleOldWorkerImages", "False".into()),
        ("TimeToLiveAttribute", "SHEPARD_EXPIRES".into()),
        ("LostUploadsHours", "72".into()),
        ("DaysToKeepOldVersions", "30".into()),
        ("DaysToKeepUntaggedImages", "30".into()),
        ("DaysToKeepErrors", "90".into()),
        ("DaysToKeepCheckpoints", "30".into()),
        ("DaysToKeepLogs", "90".into()),
        ("ToggleInitialSecret", "True".into()),
        ("EFSMode", "elastic".into()),
        ("LustreVersion", "2.15".into()),
        ("LustreBucketLink", "association".into()),
        ("SchedulerMemorySize", "1024".into()),
    ];
    let mut values = template().defaults();
    values.extend(given.into_iter().map(|(name, value)| (name.to_owned(), value)));
    values
}

/// The values of a flock that is there, for an update: all that it has stay, and a parameter that its template did not
/// know has the default, which changes nothing. What this template does not know is left out.
pub fn for_update(current: &Values) -> Values {
    let mut values = template().defaults();
    for (name, value) in &mut values {
        if let Some(current) = current.get(name) {
            value.clone_from(current);
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(word: &str) -> Place {
        Place { word: word.into(), account: "123456789012".into(), region: "ap-southeast-1".into() }
    }

    #[test]
    fn a_new_flock_has_a_value_for_every_parameter_and_none_besides() {
        let values = for_new(&place("flock"));
        let names: Vec<&str> = template().parameters().map(|parameter| parameter.name.as_str()).collect();
        assert_eq!(values.len(), names.len());
        for parameter in template().parameters() {
            let value = &values[&parameter.name];
            assert!(parameter.allowed.is_empty() || parameter.allowed.contains(value), "{}", parameter.name);
        }
        assert_eq!(values["InputsBucket"], "flock-inputs-123456789012-ap-southeast-1");
    }

    #[test]
    fn the_longest_word_makes_names_that_fit() {
        let word = "x".repeat(LONGEST_WORD);
        assert_eq!(word_problem(&word), None);
        let values = for_new(&place(&word));
        for name in ["InputsBucket", "OutputsBucket", "QuickDeployBucket", "ErrorsBucket", "LustreBucketName"]
        {
            assert!(values[name].len() <= 63, "{name}: {}", values[name].len());
        }
        for bad in ["", "Flock", "1flock", "a--b", "a-", "a_b", "é", &"x".repeat(LONGEST_WORD + 1)] {
            assert!(word_problem(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn an_update_keeps_what_is_there_and_changes_nothing_besides() {
        let mut current = Values::new();
        current.insert("DesiredRam".into(), "1".into());
        current.insert("Unknown".into(), "1".into());
        let values = for_update(&current);
        assert_eq!(values["DesiredRam"], "1");
        assert_eq!(values["NatGateways"], "2", "an old stack keeps its gateways");
        assert_eq!(values["TogglePrivilegedPayload"], "True");
        assert!(!values.contains_key("Unknown"));
    }
}
