//! The profiles of the configuration files, and the regions there are, to pick from.

use super::connect::Profile;
use super::credentials::profiles;
use crate::error::CloudError;

/// A profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Its region, if it names one.
    pub region: Option<String>,
    /// How its credentials are had, in a few words: `keys`, `SSO`, `role deployer, with a code`.
    pub how: String,
}

/// The profiles, by name.
///
/// # Errors
/// Files that cannot be read or parsed.
pub async fn known() -> Result<Vec<Known>, CloudError> {
    known_of(&Profile::default()).await
}

async fn known_of(profile: &Profile) -> Result<Vec<Known>, CloudError> {
    let (set, _) = profiles(profile).await?;
    let mut found: Vec<Known> = set
        .profiles()
        .filter_map(|name| set.get_profile(name))
        .map(|profile| {
            let has = |key: &str| profile.get(key).is_some();
            let how = if let Some(role) = profile.get("role_arn") {
                let code = if has("mfa_serial") { ", with a code" } else { "" };
                format!("role {}{code}", role.rsplit('/').next().unwrap_or(role))
            } else if has("sso_session") || has("sso_start_url") {
                "SSO".to_owned()
            } else if has("credential_process") {
                "a program".to_owned()
            } else if has("aws_access_key_id") {
                "keys".to_owned()
            } else {
                String::new()
            };
            Known { name: profile.name().to_owned(), region: profile.get("region").map(str::to_owned), how }
        })
        .collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// The regions of AWS that have Batch, of 2026-11. One that is missing here can be typed as `AWS_REGION` or `--region`.
pub const REGIONS: [&str; 34] = [
    "af-south-1",
    "ap-east-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "cn-north-1",
    "cn-northwest-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn profiles_are_listed_with_how_they_get_their_credentials() {
        let temp = tempfile::tempdir().expect("temp");
        let file = temp.path().join("config");
        std::fs::write(
            &file,
            "[default]\nregion = eu-west-1\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = canary\n\
             [profile b]\nrole_arn = arn:aws:iam::1:role/x/dev\nsource_profile = default\nmfa_serial = s\n\
             [profile a]\nsso_session = s\n[sso-session s]\nsso_region = eu-west-1\n[profile c]\ncredential_process = x\n",
        )
        .expect("a file");
        let found = known_of(&Profile { file: Some(file), ..Profile::default() }).await.expect("read");
        let shown: Vec<(&str, &str)> =
            found.iter().map(|one| (one.name.as_str(), one.how.as_str())).collect();
        assert_eq!(
            shown,
            [("a", "SSO"), ("b", "role dev, with a code"), ("c", "a program"), ("default", "keys")]
        );
        assert_eq!(found[3].region.as_deref(), Some("eu-west-1"));
    }
}
