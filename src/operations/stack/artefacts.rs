//! The account's bucket of templates and programs, from which stacks are made.

use sha2::{Digest as _, Sha256};
use shepard_cloud::stacks::TemplateSource;
use shepard_cloud::survey::Here;

use super::{Progress, Site, Watch};
use crate::operations::error::Result;

/// The largest template that goes into a request; a larger one is read from the bucket.
const INLINE: usize = 51_200;

/// Where something is in the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Bucket.
    pub bucket: String,
    /// Key.
    pub key: String,
}

/// Name of the bucket, in every account and region the same.
pub fn bucket(here: &Here) -> String {
    format!("shepard-artefacts-{}-{}", here.account, here.region)
}

/// Where something belongs: its digest is in its key, so that what is there is what it says.
pub fn place(here: &Here, folder: &str, bytes: &[u8], suffix: &str) -> Place {
    let digest: String = Sha256::digest(bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    Place { bucket: bucket(here), key: format!("{folder}/{digest}.{suffix}") }
}

/// Puts something where it belongs, unless it is there; makes the bucket where there is none.
///
/// # Errors
/// The bucket's name is another account's; it may not be made or written to.
pub async fn put(site: &Site, here: &Here, place: &Place, bytes: Vec<u8>, watch: Watch<'_>) -> Result<()> {
    let Place { bucket, key } = place;
    let artefacts = site.ports.artefacts.as_ref();
    if artefacts.prepare(bucket, here).await? {
        watch(Progress::Done(format!("made the bucket {bucket}: private, encrypted")));
    }
    let size = bytes.len();
    if artefacts.put(bucket, key, bytes, here).await? {
        watch(Progress::Done(format!("put {size} bytes to {bucket}/{key}")));
    }
    Ok(())
}

/// The template as CloudFormation takes it: in the request where it fits, else out of the bucket.
///
/// # Errors
/// As for [`put`].
pub async fn template(site: &Site, here: &Here, text: &str, watch: Watch<'_>) -> Result<TemplateSource> {
    if text.len() <= INLINE {
        return Ok(TemplateSource::Body(text.to_owned()));
    }
    let place = place(here, "template", text.as_bytes(), "yml");
    put(site, here, &place, text.as_bytes().to_vec(), watch).await?;
    Ok(TemplateSource::Url(site.ports.artefacts.url(&place.bucket, &place.key, here)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_made_of_what_is_in_it() {
        let here = Here { account: "123456789012".into(), region: "eu-west-1".into() };
        let of = |bytes: &[u8]| place(&here, "lambda", bytes, "zip");
        assert_eq!(of(b"a").bucket, "shepard-artefacts-123456789012-eu-west-1");
        assert_eq!(of(b"a").key, "lambda/ca978112ca1bbdcafac231b39a23dc4d.zip");
        assert_ne!(of(b"a"), of(b"b"));
    }
}
