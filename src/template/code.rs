//! The Lambda program that a stack needs: where it is, what it is called in a bucket, and the template's text with that
//! filled in.
//!
//! A console that was built for others carries it. One that was built on the way looks where `SHEPARD_LAMBDA` says, or
//! beside itself.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::TEXT;
use crate::operations::{OperationError, Result};

/// Names a zip where the one that is carried is not wanted, or none is.
const VARIABLE: &str = "SHEPARD_LAMBDA";
/// The zip beside the program.
const BESIDE: &str = "shepard-lambda-x86_64.zip";
/// The entry that the runtime starts.
const ENTRY: &str = "bootstrap";
/// Largest zip that Lambda takes from a bucket, unpacked; ours is a hundredth of it.
const LARGEST: u64 = 250 << 20;

/// What `cargo xtask dist` built in.
mod carried {
    include!(concat!(env!("OUT_DIR"), "/lambda.rs"));
}

/// The zip of the Lambda program.
#[derive(Clone, PartialEq, Eq)]
pub struct LambdaCode {
    /// The zip.
    pub bytes: Cow<'static, [u8]>,
    /// Its SHA-256, in hex.
    pub sha256: String,
    /// Where it is from, for people.
    pub from: String,
}

impl std::fmt::Debug for LambdaCode {
    /// Leaves out the bytes, which are millions.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LambdaCode")
            .field("sha256", &self.sha256)
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

impl LambdaCode {
    /// Key under which it lies in a bucket, as the console puts it into its own. Another program has another key, so
    /// that an update of the stack sees it.
    pub fn key(&self) -> String {
        format!("lambda/{}.zip", self.sha256.get(..32).unwrap_or_default())
    }

    fn read(bytes: Cow<'static, [u8]>, from: String) -> Result<Self> {
        let archive = zip::ZipArchive::new(std::io::Cursor::new(bytes.as_ref()));
        if !archive.is_ok_and(|archive| archive.index_for_name(ENTRY).is_some()) {
            return Err(OperationError::Refused(format!(
                "{from} is no Lambda program: it is no zip with a `{ENTRY}` in it; {MADE}"
            )));
        }
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { bytes, sha256, from })
    }
}

/// How to get one.
const MADE: &str = "`cargo xtask lambda` makes one; SHEPARD_LAMBDA names one that is elsewhere";

/// The Lambda program: the one that `SHEPARD_LAMBDA` names, or the one that this program carries, or the one beside it.
///
/// # Errors
/// There is none, or it is no zip of one.
pub fn find() -> Result<LambdaCode> {
    let variable = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    let program = std::env::current_exe().unwrap_or_default();
    find_in(variable.as_deref(), carried::LAMBDA, &program.with_file_name(BESIDE))
}

fn find_in(named: Option<&Path>, carried: Option<&'static [u8]>, beside: &Path) -> Result<LambdaCode> {
    let file = match (named, carried) {
        (Some(file), _) => file,
        (None, Some(bytes)) => {
            return LambdaCode::read(Cow::Borrowed(bytes), "the zip in this program".into());
        }
        (None, None) => beside,
    };
    let size = std::fs::metadata(file).map(|meta| meta.len());
    match size {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(OperationError::NotFound(format!(
                "there is no Lambda program at {}, and this program carries none; {MADE}",
                file.display()
            )));
        }
        Ok(size) if size > LARGEST => {
            return Err(OperationError::Refused(format!(
                "{} is no Lambda program: it is larger than Lambda takes; {MADE}",
                file.display()
            )));
        }
        _ => {}
    }
    let bytes = std::fs::read(file).map_err(OperationError::io("read the Lambda program", file))?;
    LambdaCode::read(Cow::Owned(bytes), file.display().to_string())
}

/// The template's text with the place of the Lambda program as defaults, for people who make a stack by hand.
pub fn filled_in(bucket: &str, key: &str) -> String {
    let mut text = String::with_capacity(TEXT.len() + bucket.len() + key.len());
    let mut value = None;
    for line in TEXT.split_inclusive('\n') {
        match line.trim_end() {
            "  LambdaCodeBucket:" => value = Some(bucket),
            "  LambdaCodeKey:" => value = Some(key),
            "    Default: 'unset'" if value.is_some() => {
                let quoted = value.take().unwrap_or_default().replace('\'', "''");
                text.push_str(&format!("    Default: '{quoted}'\n"));
                continue;
            }
            _ => {}
        }
        text.push_str(line);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn zip(entry: &str) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        zip.start_file(entry, zip::write::SimpleFileOptions::default()).expect("an entry");
        zip.write_all(b"program").expect("bytes");
        zip.finish().expect("a zip").into_inner()
    }

    #[test]
    fn what_is_named_counts_before_what_is_carried_and_that_before_what_lies_beside() {
        let dir = tempfile::tempdir().expect("temp dir");
        let (named, beside) = (dir.path().join("named.zip"), dir.path().join(BESIDE));
        std::fs::write(&named, zip(ENTRY)).expect("write");
        let carried: &'static [u8] = Box::leak(zip(ENTRY).into_boxed_slice());
        let from = |named: Option<&Path>, carried| find_in(named, carried, &beside).map(|code| code.from);
        assert_eq!(from(Some(&named), Some(carried)).expect("named"), named.display().to_string());
        assert_eq!(from(None, Some(carried)).expect("carried"), "the zip in this program");
        let said = from(None, None).expect_err("none").to_string();
        assert!(said.contains("no Lambda program at") && said.contains("cargo xtask lambda"), "{said}");
        std::fs::write(&beside, zip(ENTRY)).expect("write");
        let code = find_in(None, None, &beside).expect("beside");
        assert_eq!(code.key(), format!("lambda/{}.zip", &code.sha256[..32]));
        assert_eq!(code.sha256.len(), 64);
        assert!(!format!("{code:?}").contains("bytes"));
    }

    #[test]
    fn what_is_no_program_is_refused() {
        let dir = tempfile::tempdir().expect("temp dir");
        let file = dir.path().join("x.zip");
        for bytes in [b"PK".to_vec(), zip("other")] {
            std::fs::write(&file, bytes).expect("write");
            let said = find_in(Some(&file), None, &file).expect_err("no program").to_string();
            assert!(said.contains("is no Lambda program") && said.contains("SHEPARD_LAMBDA"), "{said}");
        }
    }

    #[test]
    fn the_text_is_filled_in_and_nothing_else_of_it_changes() {
        let text = filled_in("it's", "a/b.zip");
        let template = super::super::parse(&text).expect("a template");
        assert_eq!(template.parameter("LambdaCodeBucket").map(|found| found.default.as_str()), Some("it's"));
        assert_eq!(template.parameter("LambdaCodeKey").map(|found| found.default.as_str()), Some("a/b.zip"));
        let changed = text.lines().zip(TEXT.lines()).filter(|(new, old)| new != old).count();
        assert_eq!((changed, text.lines().count()), (2, TEXT.lines().count()));
    }
}
